"""Evidence of the local clock in local-time order: the nearest offset, and where it turns."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

# A legacy row: its table as declared, and its key.
Row = tuple[str, object]


@dataclass(frozen=True, slots=True)
class Span:
    """Evidence that agrees, neighbours in local time: from `first` to `last`, one offset.

    `rows` are the two rows that show it at its ends.
    """

    first: str
    last: str
    minutes: int
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """Between `last` and `first` the offset changes: which one is the nearest hangs on both."""

    last: str
    first: str
    before: int
    after: int


def join_spans(evidence: Iterable[tuple[str, int, Row]]) -> tuple[Span, ...]:
    """(local time, minutes, row) in that order, runs of one offset joined."""
    spans: list[Span] = []
    for local, minutes, row in evidence:
        if spans and spans[-1].minutes == minutes:
            begun = spans[-1]
            spans[-1] = Span(begun.first, local, minutes, (begun.rows[0], row))
        else:
            spans.append(Span(local, local, minutes, (row, row)))
    return tuple(spans)


def nearest(spans: Sequence[Span], local: str) -> int:
    """The offset of the evidence nearest to a local time; the earlier, then lesser one of a tie."""
    index = _place(spans, local)
    if _is_beside_its_like(spans, index, local):
        return spans[min(index, len(spans) - 1)].minutes
    before, after = spans[index - 1], spans[index]
    gap_before = datetime.fromisoformat(local) - datetime.fromisoformat(before.last)
    gap_after = datetime.fromisoformat(after.first) - datetime.fromisoformat(local)
    return before.minutes if gap_before <= gap_after else after.minutes


def is_settled(spans: Sequence[Span], local: str, minutes: int) -> bool:
    """Whether evidence more of that offset at that time leaves every answer as it is.

    It does beside its like: within a span, before the first or after the last. Between two spans
    it moves the point where the offset turns.
    """
    beside = _is_beside_its_like(spans, _place(spans, local), local)
    return beside and nearest(spans, local) == minutes


def _place(spans: Sequence[Span], local: str) -> int:
    """The number of the first span that does not end before a local time."""
    return bisect_left(spans, local, key=lambda span: span.last)


def _is_beside_its_like(spans: Sequence[Span], index: int, local: str) -> bool:
    return index in (0, len(spans)) or spans[index].first <= local


def turns(spans: Sequence[Span]) -> Iterator[Turn]:
    """Where the offset turns. Files whose turns are the same read every local time alike."""
    for span, after in pairwise(spans):
        yield Turn(span.last, after.first, span.minutes, after.minutes)


def turning_rows(spans: Sequence[Span]) -> frozenset[Row]:
    """The rows without which a turn would lie elsewhere."""
    return frozenset(row for a, b in pairwise(spans) for row in (a.rows[-1:] + b.rows[:1]))


def turns_digest(spans: Sequence[Span]) -> str:
    """Identifies the turns; "" where there are none."""
    digest = hashlib.sha256()
    for turn in turns(spans):
        digest.update(repr((turn.last, turn.first, turn.before, turn.after)).encode())
    return digest.hexdigest()[:32] if len(spans) > 1 else ""


def first_difference(before: Sequence[Span], after: Sequence[Span]) -> str | None:
    """The local time from which on the two may answer differently, "" for all, None for never."""
    if before[0].minutes != after[0].minutes:
        return ""
    old, new = list(turns(before)), list(turns(after))
    for a, b in zip(old, new, strict=False):
        if a != b:
            return min(a.last, b.last)
    if len(old) == len(new):
        return None
    longer = old if len(old) > len(new) else new
    return longer[min(len(old), len(new))].last
