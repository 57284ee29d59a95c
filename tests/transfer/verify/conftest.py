"""An imported folder of legacy files that a whole module shares; each test undoes its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.made_once import files_of, put_samples
from tests.transfer.load.support import change, run_import
from tests.transfer.verify.corruptions.harness import settled as settled
from tests.transfer.verify.support import accept_all, close_database, empty_target, legacy_folder


@pytest.fixture(scope="module")
def proven(
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
    django_db_blocker: Any,
    request: pytest.FixtureRequest,
) -> Iterator[Path]:
    """The variant "current", imported, all quarantined rows accepted: the judge is content.

    One score is stored as an integer, so that there is a kept cell in any case.
    """
    folder = tmp_path_factory.mktemp("legacy")
    put_samples(folder, rows=60, files={"knowledge", *files_of(request.node)})
    change(
        folder,
        "knowledge",
        'UPDATE knowledge_items SET metadata = \'{"a": 1, "a": 2}\' WHERE id = 7',
        "UPDATE knowledge_items SET content = CAST(x'ff' AS TEXT) WHERE id = 60",
    )
    with django_db_blocker.unblock(), legacy_folder(folder):
        empty_target()
        run_import()
        accept_all()
        yield folder
        empty_target()
        close_database()


@pytest.fixture
def legacy(
    tmp_path: Path, use_legacy_files: Callable[[Path], None], request: pytest.FixtureRequest
) -> Path:
    """The variant "current", not imported."""
    put_samples(tmp_path, rows=40, files=files_of(request.node))
    use_legacy_files(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def ids_left(request: pytest.FixtureRequest, django_db_blocker: Any) -> None:
    """A test before may have used up a sequence: emptying a table does not restart it."""
    if not request.node.get_closest_marker("django_db"):
        return
    request.getfixturevalue("django_db_setup")
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('ALTER SEQUENCE %I.%I RESTART', schemaname, sequencename) "
            "FROM pg_sequences WHERE last_value > 1e18"
        )
        for (statement,) in cursor.fetchall():
            cursor.execute(statement)
