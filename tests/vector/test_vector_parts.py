"""A large collection is loaded by several processes: to the same rows, with the same remarks."""

from __future__ import annotations

import os
import signal

import pytest
from django.db import connection

from stillme.transfer.errors import TransferError
from stillme.transfer.findings import FindingKind
from stillme.transfer.inventory.stores import StoreOptions
from stillme.transfer.models import KeptCell, QuarantinedRow
from tests.vector.chroma_files import ADD, DELETE, UPDATE, ChromaFiles
from tests.vector.moving import import_vectors, prove_vectors, verify_vectors
from tests.vector.test_vector_import import fill, vector
from vector.importing import collection, merging
from vector.judge import run

pytestmark = pytest.mark.django_db(transaction=True)
ALONE, TOGETHER = StoreOptions(jobs=1), StoreOptions(jobs=2)


@pytest.fixture
def modern(tmp_path):
    return ChromaFiles(tmp_path / "vector_db", "1.x")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(collection, "PART_ROWS", 5)
    monkeypatch.setattr(collection, "BATCH_ROWS", 3)
    monkeypatch.setattr(run, "PART_ROWS", 5)


def every_kind(files) -> None:
    """Queue, segment, both; repaired, quarantined, unlabelled; changed and deleted since."""
    made = fill(files, 30, space="cosine")
    made.write(ADD, "nan", vector(50), "doc", {"x": float("inf")})
    made.write(ADD, "nul", vector(51), "do\0c", {"x": 1})
    made.flush(purge=True)
    for n in (3, 11, 29):
        made.write(DELETE, f"k{n:03}")
    made.write(UPDATE, "k004", vector(60), "changed", {"n": -4})
    made.write(ADD, "late", vector(61), "late", {"n": 1}, apply=False)
    made.write(ADD, "later", vector(62), "later", {"n": 2})


def content() -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT embedding_id, document, metadata::text, embedding::text, origin, created_at, "
            "legacy_seq_id FROM vector.items ORDER BY 1"
        )
        rows = cursor.fetchall()
    asides = QuarantinedRow.objects.order_by("key", "rowid", "reason")
    kept = KeptCell.objects.order_by("key", "column")
    return [
        rows,
        list(asides.values_list("key", "rowid", "reason", "cells")),
        [(k.key, k.column, bytes(k.value), k.reason) for k in kept],
    ]


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE vector.items, vector.collections, transfer.quarantined_row, "
            "transfer.kept_cell CASCADE"
        )


def test_the_same_rows_whoever_loads_them(modern):
    every_kind(modern)
    single = import_vectors(modern.close(), options=ALONE)
    wanted = content()
    empty()
    result = import_vectors(modern.folder, options=TOGETHER)
    assert content() == wanted
    assert result.conserved
    assert sorted(result.notices) == sorted(single.notices)
    one, two = single.tables[0], result.tables[0]
    assert two.origins == one.origins
    assert two.outcome == one.outcome
    assert two.chunks > one.outcome.legacy_rows // 5
    again = import_vectors(modern.folder, options=TOGETHER).tables[0].outcome
    assert (again.inserted, again.updated, again.vanished_count) == (0, 0, 0)
    QuarantinedRow.objects.update(status="accepted")
    alone, together = (prove_vectors(modern.folder, jobs=jobs) for jobs in (1, 2))
    assert alone.findings == together.findings == []
    (one,), (two,) = alone.collections, together.collections
    assert (one.origins, one.seen) == (two.origins, two.seen)
    assert one.queries == one.queries_equal == two.queries_equal > 0


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_difference_in_any_part_is_found(modern, jobs):
    every_kind(modern)
    import_vectors(modern.close(), options=ALONE)
    QuarantinedRow.objects.update(status="accepted")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE vector.items SET document = 'x' WHERE embedding_id IN ('k001', 'later')"
        )
        cursor.execute("DELETE FROM vector.items WHERE embedding_id = 'k015'")
    found = prove_vectors(modern.folder, jobs=jobs).findings
    assert {f.key for f in found if f.where == "vector.items:document"} == {"k001", "later"}
    assert [f.key for f in found if f.kind is FindingKind.MISSING_ROW] == ["k015"]


@pytest.mark.slow
def test_what_vanished_is_seen_by_all_parts_together(modern):
    made = fill(modern, 30)
    import_vectors(modern.folder, options=TOGETHER)
    for n in range(0, 30, 4):
        made.write(DELETE, f"k{n:03}")
    found = import_vectors(modern.close(), options=TOGETHER).tables[0].outcome
    assert found.vanished == [f"k{n:03}" for n in range(0, 30, 4)]
    pruned = import_vectors(modern.folder, options=StoreOptions(jobs=2, prune=True))
    assert pruned.tables[0].outcome.pruned == 8
    assert verify_vectors(modern.folder) == []


@pytest.mark.slow
def test_a_killed_part_is_said_and_repeated(modern, monkeypatch):
    fill(modern, 30)
    parent, write = os.getpid(), merging.copy_rows

    def killed(*arguments):
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(merging, "copy_rows", killed)
        with pytest.raises(TransferError, match="worker process was killed"):
            import_vectors(modern.close(), options=TOGETHER)
    assert import_vectors(modern.folder, options=TOGETHER).conserved
    assert verify_vectors(modern.folder) == []


def test_a_dry_run_forks_nothing(modern, monkeypatch):
    fill(modern, 30)
    monkeypatch.setattr(collection, "in_processes", None)
    options = StoreOptions(jobs=2, dry_run=True)
    assert import_vectors(modern.close(), options=options).tables[0].outcome.loaded == 30
