"""Rows of rss_fetch_history.db: cycles with repeated numbers, and what became of each entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from stillme.demo.samples.clock import (
    SPAN,
    Ticks,
    a_little_before,
    local_iso,
    utc_seconds,
    whole_second,
)
from stillme.demo.samples.rows.texts import Dice

Row = tuple[Any, ...]

ITEM_COLUMNS = (
    "cycle_id",
    "title",
    "source_url",
    "link",
    "summary",
    "fetch_timestamp",
    "status",
    "status_reason",
    "vector_id",
    "added_to_rag_at",
    "created_at",
)
CYCLE_COLUMNS = (
    "cycle_number",
    "entries_fetched",
    "entries_added",
    "entries_filtered",
    "entries_duplicate",
    "entries_low_score",
    "entries_ethical_filtered",
    "started_at",
    "completed_at",
    "created_at",
)

ADDED = "Added to RAG"
OUTCOMES: tuple[tuple[str, str | None], ...] = (
    ("Filtered: Duplicate", "Content already exists in RAG"),
    ("Filtered: Low Score", "Content too short (38 chars < 150)"),
    ("Filtered: Low Score", "Low keyword score (0.12 < 0.3)"),
    ("Fetched (not added)", None),
    ("Error: Failed to add", "name 'duplicate_reason' is not defined"),
    ("Error: Failed to add", "Expected metadata value to be a str, got None ⚠️"),
    ("Filtered", "Pre-filter: Low quality or short content"),
    ("Skipped", "Duplicate entry"),
    ("Skipped", "Empty content"),
    ("Failed", "Failed to add to RAG (filtered or error)"),
    ("Error", "Processing error: boom"),
    ("Filtered: Ethical/Bias Flag", "only a reader of this status exists"),
    ("Filtered: Low Score", "Error adding to RAG: 'link'"),
)
COMMON_OUTCOMES = (
    *((ADDED, None),) * 6,
    (ADDED, ""),
    *OUTCOMES[1:4] * 2,
    OUTCOMES[0],
)
COUNTERS = {
    "Filtered: Duplicate": "duplicate",
    "Filtered: Low Score": "low_score",
    "Filtered: Ethical/Bias Flag": "ethical_filtered",
}
SOURCES = (
    "arxiv",
    "crossref",
    "wikipedia",
    "papers_with_code",
    "conference_neurips",
    "stanford_encyclopedia",
    "community_proposal:17",
    "https://www.example.org/feed.rss",
    "https://news.example.org/rss?lang=vi&page=1",
)
ENDED_COMPLETION = datetime(2025, 11, 24)
"""From this day the scheduler completed no cycle any more; only the endpoints did."""
RANDOM_IDS = (datetime(2025, 11, 22), datetime(2025, 11, 24))


@dataclass
class Cycle:
    """The counters of one cycle, kept by the read-modify-write of the application."""

    number: int
    started: datetime
    counts: dict[str, int] = field(default_factory=dict)
    completed: datetime | None = None

    def count(self, status: str) -> None:
        """What add_fetch_item does in its second transaction."""
        names = ["fetched"]
        if status == ADDED:
            names.append("added")
        elif status in COUNTERS:
            names += ["filtered", COUNTERS[status]]
        for name in names:
            self.counts[name] = self.counts.get(name, 0) + 1


@dataclass(frozen=True)
class History:
    """Both tables of the file, in id order."""

    cycles: list[Row]
    items: list[Row]


def history(rows: int, dice: Dice, *, zero_counters: bool = False) -> History:
    """Cycles until there are `rows` items; half as many cycles as items."""
    ticks = Ticks(dice.rng, max(rows // 2, 1))
    cycles: list[Row] = []
    items: list[Row] = []
    number = 0
    while len(items) < rows:
        number = _next_number(number, dice)
        cycle = Cycle(number, ticks.next())
        wanted = min(dice.rng.choice((0, 0, 1, 2, 2, 3, 4)), rows - len(items))
        moment = cycle.started
        for _ in range(wanted):
            moment += timedelta(milliseconds=dice.rng.randint(20, 90))
            items.append(item_row(len(items), len(cycles) + 1, moment, cycle, dice))
        _complete(cycle, moment, dice)
        cycles.append(cycle_row(cycle, dice, zero_counters))
    return History(cycles, items)


def _next_number(number: int, dice: Dice) -> int:
    """It restarts with the process, repeats after an error, and is 0 from the endpoints."""
    choice = dice.rng.random()
    if choice < 0.2:
        return 0
    if choice < 0.4:
        return 1
    return number if choice < 0.5 else number + 1


def _complete(cycle: Cycle, moment: datetime, dice: Dice) -> None:
    by_endpoint = cycle.number == 0 and dice.rng.random() < 0.8
    by_scheduler = cycle.started < ENDED_COMPLETION and dice.rng.random() < 0.6
    if by_endpoint or by_scheduler:
        cycle.completed = moment + timedelta(milliseconds=dice.rng.randint(30, 900))


def cycle_row(cycle: Cycle, dice: Dice, zero_counters: bool = False) -> Row:
    """The first days' files have only zeros: the counter update found the file locked."""
    whole = cycle.started.microsecond == 0
    started = cycle.started if whole else a_little_before(cycle.started, dice.rng)
    done = cycle.completed
    names = ("fetched", "added", "filtered", "duplicate", "low_score", "ethical_filtered")
    counts = [0 if zero_counters else cycle.counts.get(name, 0) for name in names]
    return (
        cycle.number,
        *counts,
        local_iso(started, dice.offset),
        local_iso(whole_second(done) if whole else done, dice.offset) if done else None,
        utc_seconds(cycle.started),
    )


def item_row(number: int, cycle_id: int, moment: datetime, cycle: Cycle, dice: Dice) -> Row:
    """One entry. Its counters are lost now and then, as when the second transaction failed."""
    status, reason = _outcome(number, dice)
    if number % 23 != 11:
        cycle.count(status)
    link = _link(number, dice)
    whole = number % 50 == 17
    read = whole_second(moment) if whole else a_little_before(moment, dice.rng)
    added = whole_second(read) if number % 30 == 4 else a_little_before(read, dice.rng)
    return (
        cycle_id,
        _title(number, dice),
        dice.rng.choice(SOURCES),
        link,
        _summary(number, dice),
        local_iso(read, dice.offset),
        status,
        reason,
        _vector_id(number, link, moment, dice) if status == ADDED else None,
        local_iso(added, dice.offset) if status == ADDED else None,
        utc_seconds(moment),
    )


def _outcome(number: int, dice: Dice) -> tuple[str, str | None]:
    """Every status word early in the file, then the usual mixture."""
    if number % 2 == 1 and number // 2 < len(OUTCOMES):
        return OUTCOMES[number // 2]
    if dice.one_in(12):
        return dice.rng.choice(OUTCOMES)
    return dice.rng.choice(COMMON_OUTCOMES)


def _link(number: int, dice: Dice) -> str | None:
    if number % 17 == 8:
        return None if number % 2 and dice.pathologies else ""
    return dice.rng.choice(
        (
            f"https://example.org/bài-viết/{number}",
            f"https://example.org/paper/{number}?a=1&b=2",
            f"http://example.org/news/{number}",
        )
    )


def _title(number: int, dice: Dice) -> str:
    if dice.pathologies and number % 100 == 13:
        return "bozo\0feed title\x01\x0b"
    return "" if number % 60 == 9 else dice.phrase()


def _summary(number: int, dice: Dice) -> str | None:
    special: dict[int, Callable[[], str | None]] = {
        5: lambda: None,
        25: lambda: "",
        45: dice.phrase,
    }
    if number % 50 in special:
        return special[number % 50]()
    if dice.pathologies and number % 200 == 33:
        return ("<div>" + dice.markup() + "</div>\n") * 2_000
    if dice.pathologies and number % 100 == 61:
        return f"<p>\0{dice.phrase()}</p>"
    return dice.markup()


def _vector_id(number: int, link: str | None, moment: datetime, dice: Dice) -> str:
    """Not a key: the first eight characters of the link, for some days a random id."""
    if RANDOM_IDS[0] <= moment < RANDOM_IDS[1]:
        return f"knowledge_{dice.hex_id(8)}"
    if link is None or number % 31 == 6:
        return "knowledge_unknown"
    return f"knowledge_{link[:8]}"


LATER = SPAN + timedelta(hours=1)
"""After everything in `history`: when the rows that exist only in a write-ahead log were made."""
