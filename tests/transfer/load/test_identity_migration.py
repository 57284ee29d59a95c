"""Upgrading a ledger with rows: each record gets the file of its table, and none is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = [("transfer", "0006_shared_range")]
AFTER = [("transfer", "0007_identity")]

# The table of a kept cell -> the file that it must get. Nothing knows the last one.
EXPECTED = {
    "rss_fetch_items": "rss",
    "of_its_run": "knowledge",
    "of_a_chunk": "continuum",
    "of_quarantine": "knowledge",
    "accuracy_scores": "accuracy",
    "vector_db.notes": "vector",
    "vector_db/collections": "vector",
    "vectorXdb": "",
    "nobody_knows": "",
}


@pytest.fixture
def old() -> Iterator[Any]:
    """The models as they were."""
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    try:
        yield executor.loader.project_state(BEFORE).apps
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())


def test_records_get_the_file_of_their_table(old: Any) -> None:
    models = {name: old.get_model("transfer", name) for name in (
        "Run", "RunTable", "RunFile", "Chunk", "KeptCell", "QuarantinedRow", "SharedRange",
        "RangeDigest", "CarriedCell",
    )}  # fmt: skip
    first, second = (models["Run"].objects.create(command="import_sqlite") for _ in range(2))
    models["RunFile"].objects.create(run=first, file="rss", path="/x", sha256="", size=1,
                                     schema_digest="")  # fmt: skip
    table = models["RunTable"].objects.create
    table(run=first, file="rss", table="rss_fetch_items", target="t")
    table(run=first, file="knowledge", table="of_its_run", target="t")
    table(run=second, file="elsewhere", table="of_its_run", target="t")
    models["Chunk"].objects.create(
        run=first, file="continuum", table="of_a_chunk", number=0, mapping_digest="",
        file_sha256="", legacy_rows=1, loaded=1, repaired=0, quarantined=0, digest="", xid=1,
    )  # fmt: skip
    models["QuarantinedRow"].objects.create(
        run=None,
        file="knowledge",
        table="of_quarantine",
        key="1",
        cells={},
        reason="r",
        sentence="",
    )
    for number, name in enumerate(EXPECTED):
        run = None if name == "of_quarantine" else first
        models["KeptCell"].objects.create(
            run=run, table=name, key="k" * 5000, column="c", storage="text",
            value=b"v%d" % number, reason="r",
        )  # fmt: skip
    models["SharedRange"].objects.create(
        run=second, table="of_its_run", number=0, mapping_digest="d"
    )
    models["RangeDigest"].objects.create(file="rss", table="a", number=0, digest="", rows=1)
    models["CarriedCell"].objects.create(
        run=first, file="rss", table="a", key="1", column="c", value="v", reason="r"
    )
    executor = MigrationExecutor(connection)
    executor.migrate(AFTER)
    now = executor.loader.project_state(AFTER).apps
    cells = now.get_model("transfer", "KeptCell").objects.order_by("pk")
    assert dict(cells.values_list("table", "file")) == EXPECTED
    values = [bytes(cell.value) for cell in cells]
    assert values == [b"v%d" % number for number in range(len(EXPECTED))]
    (shared,) = now.get_model("transfer", "SharedRange").objects.all()
    assert shared.file == "elsewhere"
    for name in models:
        assert now.get_model("transfer", name).objects.exists(), name
    assert now.get_model("transfer", "RunFile").objects.get().history == {}
