"""Tables without a schema are those in public, whatever the search path says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import connection

from stillme.transfer.errors import TargetError
from stillme.transfer.steps.loading import target_ready

pytestmark = pytest.mark.django_db


def test_a_table_that_only_the_search_path_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    meta = SimpleNamespace(db_table="lonely")
    model = SimpleNamespace(target_model=lambda: SimpleNamespace(_meta=meta))
    monkeypatch.setattr(target_ready, "legacy_models", lambda: [model])
    with pytest.raises(TargetError, match=r"has no table public\.lonely: run `manage.py migrate`"):
        target_ready.check_target("default")
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA elsewhere")
        cursor.execute("CREATE TABLE elsewhere.lonely ()")
        cursor.execute("SET LOCAL search_path = elsewhere, public")
    with pytest.raises(TargetError, match="table lonely is in the schema elsewhere, as a search_"):
        target_ready.check_target("default")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE public.lonely ()")
    target_ready.check_target("default")
