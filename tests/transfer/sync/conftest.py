"""Sample files, the settings pointed at them, and a clean target for every test."""

from __future__ import annotations

import pytest
from django.db import connection

from stillme.demo.samples.generate import make_samples
from stillme.transfer.registry import legacy_files


@pytest.fixture
def clean_target(transactional_db):
    """Real commits, as capture needs them; everything is gone afterwards."""
    yield
    from stillme.transfer.postgresql import capture
    from stillme.transfer.steps.capture import target_tables

    connection.close()
    from django.db import transaction

    with transaction.atomic():
        tables = target_tables([f.name for f in legacy_files()])
        capture.remove("default", tables)
        capture.unfreeze_target("default", tables)


@pytest.fixture
def legacy(clean_target, use_legacy_files, tmp_path):
    """`legacy(rows, variant)` makes sample files and points the settings at them."""

    def make(rows=60, variant="clean"):
        directory = tmp_path / "data"
        make_samples(directory, rows=rows, variant=variant)
        use_legacy_files(directory)
        return directory

    return make
