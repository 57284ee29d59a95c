"""Fetch cycles and their items, as functions that raise what goes wrong.

The old class in `rss.services` wraps these; new code calls them directly. Each is its own
transaction unless the caller has one.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from rss.models import FetchCycle, FetchItem
from stillme.services.arguments import plain, row_key, whole
from stillme.services.connections import borrows_connection
from stillme.services.prepared_insert import insert, insert_from
from stillme.services.prepared_select import fetch, from_table, limit_clause, select
from stillme.services.times import instant, iso_text, local_zone

ADDED = "Added to RAG"
# Beside items_fetched, which every item counts in.
COUNTERS = {
    ADDED: ("items_added",),
    "Filtered: Duplicate": ("items_duplicate", "items_filtered"),
    "Filtered: Low Score": ("items_low_score", "items_filtered"),
    "Filtered: Ethical/Bias Flag": ("items_ethical_filtered", "items_filtered"),
}
STATISTICS = {
    ADDED: "added_to_rag",
    "Filtered": "filtered",
    "Skipped": "skipped",
    "Failed": "failed",
    "Error": "error",
}


class UnknownCycleError(LookupError):
    """An item names a cycle that does not exist."""


@borrows_connection
def cycle_open(*, cycle_number: int) -> int:
    """Begin a cycle; answers its id. The number is the scheduler's, and may repeat."""
    return insert(FetchCycle, cycle_number=whole(cycle_number), started_at=timezone.now())


@borrows_connection
def cycle_complete(*, cycle_id: int) -> bool:
    """Mark a cycle as completed now; False where there is no such cycle."""
    found = FetchCycle.objects.filter(pk=whole(cycle_id))
    return bool(found.update(completed_at=Now(), status=FetchCycle.Status.COMPLETED))


@borrows_connection
def item_add(
    *,
    cycle_id: int,
    title: str,
    feed_url: str,
    link: str | None,
    summary: str | None,
    status: str,
    status_reason: str | None = None,
    vector_id: str | None = None,
    added_to_rag_at: date | str | None = None,
) -> int:
    """Store an item and count it in its cycle, both or neither; answers its id.

    The old code counted in a transaction of its own, read-modify-write, and lost counts. Raises
    UnknownCycleError where there is no such cycle.
    """
    cycle = _cycle_key(cycle_id)
    values = {
        "cycle_id": cycle,
        "item_title": plain(title),
        "feed_url": plain(feed_url),
        "item_link": plain(link),
        "summary": plain(summary),
        "status": plain(status),
        "status_reason": plain(status_reason),
        "vector_id": plain(vector_id),
        "added_to_rag_at": instant(added_to_rag_at),
        "fetch_timestamp": timezone.now(),
    }
    counted = _COUNTED[COUNTERS.get(status, ())]
    key = None if cycle is None else insert_from(FetchItem, counted, (cycle,), values)
    if key is None:
        raise UnknownCycleError(f"There is no fetch cycle {cycle_id!r}: open it first.")
    return key


def _cycle_key(cycle_id: Any) -> int | None:
    """The id of the cycle that an item names; None where that can be none.

    Stricter than SQLite, which counted `True` in cycle 1 and "2.0" in cycle 2: an item must name
    the cycle that was opened for it.
    """
    if isinstance(cycle_id, bool) or (isinstance(cycle_id, str) and set(cycle_id) & set(".eE")):
        return None
    return row_key(cycle_id)


def _counting(names: tuple[str, ...]) -> str:
    ones = ", ".join(f"{name} = coalesce({name}, 0) + 1" for name in ("items_fetched", *names))
    return f"UPDATE {FetchCycle._meta.db_table} SET {ones} WHERE id = %t RETURNING id"


# Item and counters in one statement: it is a transaction by itself, and one round trip.
_COUNTED = {names: _counting(names) for names in {(), *COUNTERS.values()}}


@borrows_connection
def cycle_latest() -> int | None:
    """The cycle that was completed last; where none was, the one that started last."""
    cycles = FetchCycle.objects
    completed = cycles.filter(completed_at__isnull=False).order_by("-completed_at", "id")
    found = completed.values_list("pk", flat=True).first()
    if found is None:
        found = cycles.order_by("-started_at", "id").values_list("pk", flat=True).first()
    return None if found is None else int(found)


@borrows_connection
def item_list_latest(*, limit: int | None = 100) -> list[dict[str, Any]]:
    """The items of the latest cycle, newest first."""
    cycle_id = cycle_latest()
    if cycle_id is None:
        return []
    return _page("WHERE cycle_id = %s ORDER BY fetch_timestamp DESC, id", limit, cycle_id)


@borrows_connection
def item_list(*, limit: int | None = 1000) -> list[dict[str, Any]]:
    """All items, newest first; of equal times the later id first, as SQLite's index gave them."""
    return _page("ORDER BY fetch_timestamp DESC, id DESC", limit)


@borrows_connection
def item_list_added(*, limit: int | None = 1000) -> list[dict[str, Any]]:
    """The items that were added to the knowledge base, the latest addition first."""
    # The status spelled out, so that the plan may use the partial index.
    order = "added_to_rag_at DESC NULLS LAST, fetch_timestamp DESC, id"
    return _page(f"WHERE status = '{ADDED}' ORDER BY {order}", limit)


_COLUMNS = (
    "id",
    "cycle_id",
    "item_title",
    "feed_url",
    "item_link",
    "summary",
    "fetch_timestamp",
    "status",
    "status_reason",
    "vector_id",
    "added_to_rag_at",
)
_OLD_NAMES = {"item_title": "title", "feed_url": "source_url", "item_link": "link"}


_SHOWN = tuple(_OLD_NAMES.get(name, name) for name in _COLUMNS)
_PAGE = select(FetchItem, _COLUMNS)


def _page(order: str, limit: int | None, *parameters: Any) -> list[dict[str, Any]]:
    found = fetch(FetchItem, f"{_PAGE} {order}{limit_clause(limit)}", parameters)
    rows = [dict(zip(_SHOWN, row, strict=True)) for row in found]
    zone = local_zone()
    for row in rows:
        row["fetch_timestamp"] = iso_text(row["fetch_timestamp"], zone)
        row["added_to_rag_at"] = iso_text(row["added_to_rag_at"], zone)
    return rows


@borrows_connection
def item_count(*, cycle_id: int | None = None) -> dict[str, int]:
    """How many items of a cycle (by default the latest) have each status."""
    counts = dict.fromkeys([*STATISTICS.values(), "total"], 0)
    chosen = cycle_latest() if cycle_id is None else cycle_id
    if chosen is None:
        return counts
    for status, count in fetch(FetchItem, _BY_STATUS, [whole(chosen)]):
        counts["total"] += count
        if status in STATISTICS:
            counts[STATISTICS[status]] = count
    return counts


_BY_STATUS = f"SELECT status, count(*) {from_table(FetchItem)} WHERE cycle_id = %s GROUP BY status"
