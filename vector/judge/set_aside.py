"""Judge the records of items that were set aside, and of kept originals.

Each item that needs a record must have exactly one, with the right reason and cells. A record that
no item needs is a finding, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Count, Q

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_anything
from stillme.transfer.verify.rows.stored_records import as_stored
from vector import chroma
from vector.judge import expectation
from vector.judge.proof import ExpectedAside
from vector.names import COLLECTIONS, FILE

WHERE = "vector.items"
_STATES = set(QuarantinedRow.Status.values)
_REPAIRED = QuarantinedRow.Status.REPAIRED


def of_item(collection_id: str, item: chroma.Item, reason: str, column: str) -> ExpectedAside:
    """The record of an item that PostgreSQL cannot hold."""
    cells = {"collection_id": collection_id, **item.raw}
    return ExpectedAside(_spelled(item.embedding_id), None, reason, column, cells)


def of_problem(collection_id: str, problem: chroma.Problem) -> ExpectedAside:
    """The record of what is no item."""
    cells = {"collection_id": collection_id, **problem.raw}
    label, key = problem.raw.get("label"), problem.embedding_id
    number = label if key is None and isinstance(label, int) else None
    return ExpectedAside(_spelled(key), number, problem.reason.value, "embedding", cells)


def _spelled(key: str | None) -> str | None:
    return None if key is None else key.replace("\x00", "\\x00")


def compare(
    records: Iterable[QuarantinedRow], expected: Iterable[ExpectedAside], name: str, *, whole: bool
) -> Iterator[Finding]:
    """Differences between the quarantine's records of a collection and what must be there.

    Only where the `whole` collection was read can a record be said to be needless.
    """
    found: dict[tuple[str | None, int | None], list[QuarantinedRow]] = {}
    for record in records:
        identity = (record.key, record.rowid if record.key is None else None)
        found.setdefault(identity, []).append(record)
        if record.status not in _STATES:
            note = f"a record in quarantine has the unknown status {record.status!r}"
            yield Finding(FindingKind.CONSERVATION, WHERE, record.key, note=note)
    for aside in expected:
        if aside.key is None and aside.number is None:
            # It is about a whole segment; the ids it touches follow one by one.
            continue
        mine = [r for r in found.pop((aside.key, aside.number), []) if r.status != _REPAIRED]
        note = _difference(mine, aside, name)
        if note:
            yield Finding(FindingKind.CONSERVATION, WHERE, aside.key, note=note)
    for left in found.values() if whole else ():
        for record in left:
            # A repaired one is the history of an item that was loaded since.
            if record.status != _REPAIRED:
                note = (
                    f"{record.reason}: it is in quarantine, and {name} has no item that needs it; "
                    "import_sqlite --file vector --prune removes records of items that are gone"
                )
                yield Finding(FindingKind.CONSERVATION, WHERE, record.key, note=note)


def _difference(records: list[QuarantinedRow], aside: ExpectedAside, name: str) -> str:
    if not records:
        return f"{aside.reason} in {name}, and not in the quarantine"
    if len(records) > 1:
        return f"it is in quarantine {len(records)} times"
    (record,) = records
    if record.reason != aside.reason:
        return f"it is in quarantine for {record.reason!r}, not for {aside.reason}"
    if record.column != aside.column:
        return f"it is in quarantine for its {record.column!r}, not for its {aside.column}"
    cells = record.cells if isinstance(record.cells, dict) else {}
    names = sorted(set(cells) | set(aside.cells))
    changed = [n for n in names if n not in aside.cells or not _same(n, cells, aside.cells)]
    if changed:
        return f"its record in quarantine does not hold what the store does: {', '.join(changed)}"
    return ""


def _same(name: str, cells: dict[str, Any], stored: dict[str, Any]) -> bool:
    storage, value = unpack_anything(cells.get(name))
    expected = stored[name]
    purged = stored.get("origin") == "segment_cosine" and unpack_anything(cells.get("origin")) == (
        "text", b"queue",
    )  # fmt: skip
    if name == "origin" and purged:
        # The import found the original in the queue, and Chroma has purged that since.
        return True
    if isinstance(expected, bytes):
        if storage != "blob" or not isinstance(value, bytes) or len(value) != len(expected):
            return False
        if value == expected or len(value) % 4:
            return bool(value == expected)
        return bool(purged) and not expectation.vector_difference(expected, value, exact=False)
    if isinstance(expected, dict):
        content = expectation.read_json(value) if isinstance(value, bytes) else value
        return storage == "text" and not expectation.metadata_difference(expected, content)
    if isinstance(expected, str):
        return (storage, value) == ("text", expected.encode("utf-8", "surrogateescape"))
    return bool((storage, value) == ("null" if expected is None else "integer", expected))


def needless_originals(alias: str, table: str, seen: set[str]) -> Iterator[Finding]:
    """Kept cells of a collection that are of none of its items."""
    cells = KeptCell.objects.using(alias).filter(file=FILE, table=table).order_by("key", "pk")
    for key, column in cells.values_list("key", "column").iterator():
        if key not in seen:
            note = "an original is kept, and the store has no such item"
            yield Finding(FindingKind.KEPT_CELL, f"{WHERE}:{column}", key, note=note)


def of_unknown_tables(alias: str, known: Iterable[str]) -> Iterator[Finding]:
    """Records and kept cells under the name of no collection of the store."""
    ours = Q(table__startswith="vector_db.") | Q(table__startswith="vector_db/") | Q(file=FILE)
    tables = list(known)
    for model, kind, known_too, what in (
        (QuarantinedRow, FindingKind.CONSERVATION, [], "records in quarantine are of"),
        (KeptCell, FindingKind.KEPT_CELL, [COLLECTIONS], "originals are kept of"),
    ):
        rows = model._default_manager.using(alias).filter(ours)
        others = rows.exclude(table__in=[*tables, *known_too]).order_by("table")
        for table, count in others.values_list("table").annotate(Count("pk")):
            note = f"{count:,} {what} {table}, which the store has not"
            yield Finding(kind, "vector.collections", table, note=note)


def collection_originals(alias: str, collections: Iterable[chroma.Collection]) -> Iterator[Finding]:
    """The kept metadata of collections: of those whose own cannot be held, and of no other."""
    kept: dict[tuple[str, str], list[KeptCell]] = {}
    cells = KeptCell.objects.using(alias).filter(file=FILE, table=COLLECTIONS)
    for cell in as_stored(cells.order_by("key", "pk")):
        kept.setdefault((cell.key, cell.column), []).append(cell)
    where = "vector.collections:metadata"
    for collection in collections:
        stored = dict(collection.metadata)
        mine = kept.pop((collection.id, "metadata"), [])
        if note := kept_difference(mine, stored, expectation.repair_reasons(stored)):
            yield Finding(FindingKind.KEPT_CELL, where, collection.name, note=note)
    for key, _ in kept:
        note = "an original is kept of nothing that the store has"
        yield Finding(FindingKind.KEPT_CELL, where, key, note=note)


def kept_difference(
    cells: list[KeptCell], stored: dict[str, Any] | bytes, reasons: set[str]
) -> str:
    """What is wrong with the originals that are kept of one cell; '' where nothing is.

    A cell that had to be repaired, for one of the `reasons`, has its original next to it, once and
    as it is stored; another has none.
    """
    if not reasons:
        return "an original is kept of a cell that needs none" if cells else ""
    if len(cells) != 1:
        return f"the original is kept {len(cells)} times" if cells else "the original is missing"
    (cell,) = cells
    original = bytes(cell.value or b"")
    if isinstance(stored, bytes):
        same = original == stored
    else:
        same = not expectation.metadata_difference(stored, expectation.read_json(original))
    if not same or cell.storage != "text":
        return "the kept original is not what the legacy holds"
    return "" if cell.reason in reasons else f"it is kept for another reason ({cell.reason!r})"
