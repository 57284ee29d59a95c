"""Commands started from the console: who may, one at a time, watched, recorded to their end."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from knowledge.models import KnowledgeItem
from stillme.transfer.console.work.start import SILENT
from stillme.transfer.models import Run, StartedCommand
from tests.conftest import legacy_variables
from tests.console.support import staff
from tests.made_once import put_samples

PAGE = "/admin/transfer/work/"
WATCH = "/admin/transfer/work.json"
OPERATOR = ("view_run", "add_startedcommand")
PATIENCE = 120


@pytest.fixture
def here(
    tmp_path: Path,
    use_legacy_files: Any,
    settings: Any,
    target_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sample files and the test's database, for the processes that are started as well."""
    put_samples(tmp_path, rows=30)
    use_legacy_files(tmp_path)
    files = legacy_variables(settings.TRANSFER["FILES"], settings.LEGACY_VECTOR_DIR)
    for name, value in {**target_environment, **files}.items():
        monkeypatch.setenv(name, value)


def ended(client: Any) -> dict[str, Any]:
    """What the page's script is told at the end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found: dict[str, Any] = client.get(WATCH).json()
        if not found["is_running"]:
            return found
        time.sleep(0.2)
    raise AssertionError(StartedCommand.objects.values())


@pytest.mark.django_db(transaction=True)
def test_an_operator_starts_an_import_and_sees_it_end(
    client: Any, django_user_model: Any, here: None
) -> None:
    staff(client, django_user_model, *OPERATOR)
    for kind in ("dry-run", "import"):
        client.post(PAGE, {"kind": kind, "confirmed": "1"})
        # One at a time: a second one is refused while the first one runs.
        again = client.post(PAGE, {"kind": "verify", "confirmed": "1"}, follow=True)
        assert "is still running" in again.content.decode()
        found = ended(client)
        assert found["said"] == "ended well"
        assert "knowledge_items" in found["output"]
    assert KnowledgeItem.objects.exists()
    assert Run.objects.filter(command="import_sqlite", status="completed").count() == 1
    kept = StartedCommand.objects.order_by("pk").values_list("command", "started_by", "exit_status")
    assert list(kept) == [("import_sqlite --dry-run", "staff", 0), ("import_sqlite", "staff", 0)]


@pytest.mark.django_db(transaction=True)
def test_what_was_killed_is_said_to_be_and_another_may_start(
    client: Any, django_user_model: Any
) -> None:
    staff(client, django_user_model, *OPERATOR)
    row = StartedCommand.objects.create(command="verify_migration", started_by="ana")
    assert client.get(WATCH).json()["is_running"]
    silent = timezone.now() - SILENT - timedelta(seconds=1)
    StartedCommand.objects.filter(pk=row.pk).update(seen_at=silent)
    assert client.get(WATCH).json()["said"].startswith("broken off")
    row.refresh_from_db()
    assert row.running is None
    assert row.finished_at is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rights", "given", "status", "says"),
    [
        ((), {}, 403, ""),
        (("view_run",), {"kind": "verify", "confirmed": "1"}, 403, ""),
        (OPERATOR, {"kind": "verify"}, 200, "tick the box to confirm"),
        (OPERATOR, {"kind": "flush", "confirmed": "1"}, 400, ""),
    ],
    ids=["nobody", "viewer", "not confirmed", "another command"],
)
def test_nothing_is_started(
    client: Any, django_user_model: Any, rights: Any, given: dict[str, str], status: int, says: str
) -> None:
    staff(client, django_user_model, *rights)
    answer = client.post(PAGE, given, follow=True)
    assert answer.status_code == status
    assert says in answer.content.decode()
    assert not StartedCommand.objects.exists()
    offered = 'name="kind"' in client.get(PAGE).content.decode()
    assert offered == (rights == OPERATOR)


def test_the_groups_say_who_starts_commands(db: None) -> None:
    may = Permission.objects.get(codename="add_startedcommand")
    assert {group.name for group in may.group_set.all()} == {"operator", "administrator"}
