"""Evidence of the local clock: the nearest offset, and what more evidence changes of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from stillme.transfer.sqlite import spans
from stillme.transfer.verify.local_clock import LocalClock

_START = datetime(2026, 1, 1)
_MICROS = (_START - datetime(1970, 1, 1)) // timedelta(microseconds=1)
HOURS = st.integers(0, 40)
OFFSETS = st.sampled_from((60, 120, 180))
EVIDENCE = st.sets(st.tuples(HOURS, OFFSETS), min_size=1, max_size=12)


def local(hour):
    return (_START + timedelta(hours=hour)).isoformat()


def joined(evidence):
    return spans.join_spans((local(h), m, ("t", (h, m))) for h, m in sorted(evidence))


def answers(found):
    return [spans.nearest(found, local(quarter / 4)) for quarter in range(-20, 200)]


def judged(evidence):
    """The judge's answers, which it finds in its own way."""
    every = tuple((local(hour), minutes) for hour, minutes in sorted(evidence))
    offsets = tuple(sorted({minutes for _, minutes in evidence}))
    clock = LocalClock(None, offsets[0], offsets, every)
    walls = [quarter * 15 * 60 * 1_000_000 + _MICROS for quarter in range(-20, 200)]
    return [clock.shift(wall, None)[0] // 60_000_000 for wall in walls]


@given(EVIDENCE)
@settings(max_examples=200, deadline=None)
def test_loader_and_judge_find_the_same_offset(evidence):
    assert answers(joined(evidence)) == judged(evidence)


@given(EVIDENCE, HOURS, OFFSETS)
@settings(max_examples=300, deadline=None)
def test_settled_evidence_changes_no_answer(evidence, hour, minutes):
    before, more = joined(evidence), joined(evidence | {(hour, minutes)})
    if spans.is_settled(before, local(hour), minutes):
        assert spans.turns_digest(more) == spans.turns_digest(before)
        assert answers(more) == answers(before)


@given(EVIDENCE, EVIDENCE)
@settings(max_examples=300, deadline=None)
def test_nothing_changes_before_the_first_difference(one, other):
    before, after = joined(one), joined(other)
    since = spans.first_difference(before, after)
    pairs = zip(range(-20, 200), answers(before), answers(after), strict=True)
    moved = [local(quarter / 4) for quarter, a, b in pairs if a != b]
    if since is None:
        assert not moved
    else:
        assert all(moment >= since for moment in moved)


@given(EVIDENCE, st.data())
@settings(max_examples=300, deadline=None)
def test_without_another_row_the_turns_stay(evidence, data):
    found = joined(evidence)
    others = [row for row in evidence if ("t", row) not in spans.turning_rows(found)]
    if others and len(evidence) > 1:
        gone = data.draw(st.sampled_from(others))
        left = joined(evidence - {gone})
        assert spans.turns_digest(left) == spans.turns_digest(found)
