"""Rows of continuum_memory.db: tiers, the audit of their changes, forgetting evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from stillme.demo.samples.clock import (
    SPAN,
    START,
    Ticks,
    a_little_before,
    aware_iso,
    local_iso,
    utc_seconds,
)
from stillme.demo.samples.clock import whole_second as no_fraction
from stillme.demo.samples.rows.texts import Dice

Row = tuple[Any, ...]

METRIC_COLUMNS = (
    "item_id",
    "tier",
    "surprise_score",
    "retrieval_count_7d",
    "retrieval_count_30d",
    "validator_overlap",
    "last_promoted_at",
    "last_demoted_at",
    "created_at",
    "updated_at",
    "last_update_cycle",
)
AUDIT_COLUMNS = (
    "item_id",
    "from_tier",
    "to_tier",
    "reason",
    "surprise_score",
    "retrieval_count_7d",
    "validator_overlap",
    "performed_by",
    "created_at",
)
FORGETTING_COLUMNS = (
    "regression_item_id",
    "regression_query",
    "recall_at_k_before",
    "recall_at_k_after",
    "forgetting_delta",
    "faithfulness_score",
    "overlap_score",
    "evaluation_timestamp",
    "knowledge_update_timestamp",
    "created_at",
)

NO_UPDATE = 5
TIERS = ("L0", "L1", "L2", "L3")
TRANSITIONS = (
    *((a, b) for a in TIERS for b in TIERS if a != b),
    *((None, tier) for tier in TIERS),
)


@dataclass(frozen=True)
class Tiers:
    """The two tables that a promotion or a demotion writes together."""

    metrics: list[Row]
    audit: list[Row]


def tiers(rows: int, dice: Dice) -> Tiers:
    """Items in every tier, and an audit in which every transition occurs."""
    ticks = Ticks(dice.rng, rows, span=SPAN / 4)
    metrics: list[Row] = []
    audit: list[tuple[datetime, Row]] = []
    for number in range(rows):
        metrics.append(_metric(number, ticks.next(), dice, audit))
    if dice.pathologies:
        audit.append((START + SPAN, _audit_row("?", "L3", "L9", "no CHECK here", (1.4, -1, None))))
    audit.sort(key=lambda pair: pair[0])
    stamped = [(*row, _local(dice, moment)) for moment, row in audit]
    return Tiers(metrics, stamped)


def _metric(number: int, made: datetime, dice: Dice, audit: list[tuple[datetime, Row]]) -> Row:
    """One item: where it stands, and what the last thing that happened to it left in updated_at."""
    item = _item_id(number, dice)
    tier: str = TIERS[number % 4] if number < 8 else dice.rng.choice(TIERS[:2] * 4 + TIERS)
    scores = _scores(number, dice)
    promoted = demoted = None
    cycle, updated = 0, utc_seconds(made)
    for step in range(dice.rng.randrange(3) if number >= 16 else 1):
        old, new = _transition(number, tier, dice)
        moment = made + timedelta(days=6 + 9 * step, seconds=dice.rng.randrange(500_000))
        if number % 40 == 5:
            moment = no_fraction(moment)
        if number >= 16 and dice.one_in(6):  # an unknown item: an audit row and nothing else
            lost = f"knowledge_{dice.hex_id(8)}"
            audit.append((moment, _audit_row(lost, old, new, "item unknown", scores)))
            continue
        up = old is None or old < new
        read = moment if moment.microsecond == 0 else a_little_before(moment, dice.rng)
        stamp = local_iso(read, dice.offset)
        promoted, demoted = (stamp, demoted) if up else (promoted, stamp)
        tier, updated = new, _local(dice, moment)
        audit.append((moment, _audit_row(item, old, new, _reason(dice), scores)))
    if dice.one_in(4):
        cycle = dice.rng.choice((1, 2, 10, 100, 1000))
        updated = utc_seconds(made + timedelta(days=30, seconds=dice.rng.randrange(99_999)))
    head = (item, tier, scores[0], scores[1], dice.rng.choice((0, 2, 30, 400)), scores[2])
    return (*head, promoted, demoted, utc_seconds(made), updated, cycle)


def _item_id(number: int, dice: Dice) -> str:
    """Content digests, short ids, and a few that a caller made up."""
    if number % 60 == 3:
        return f"mục-kiến-thức 🧠 'quoted' {number} " + "x" * 300
    return f"knowledge_{dice.hex_id(8)}" if number % 3 == 0 else dice.hex_id(32)


def _scores(number: int, dice: Dice) -> tuple[float | None, int | None, float | None]:
    """surprise, retrievals in 7 days, overlap; with pathologies also NULL and out of range."""
    if dice.pathologies and number % 90 == 7:
        return None, None, None
    if dice.pathologies and number % 90 == 8:
        return 1.25, 150, None
    count = dice.rng.choice((0, 0, 1, 3, 12, 150))
    return round(dice.rng.random(), 4), count, round(dice.rng.random(), 3)


def _transition(number: int, tier: str, dice: Dice) -> tuple[str | None, str]:
    """Every transition once, then the steps that the rules take."""
    if number < len(TRANSITIONS):
        return TRANSITIONS[number]
    steps = [pair for pair in TRANSITIONS[:12] if pair[0] == tier and _adjacent(pair)]
    return dice.rng.choice(steps)


def _adjacent(pair: tuple[str | None, str]) -> bool:
    return pair[0] is not None and abs(TIERS.index(pair[0]) - TIERS.index(pair[1])) == 1


def _reason(dice: Dice) -> str:
    return dice.rng.choice(
        (
            "",
            "retrieval_count_7d=0",
            "surprise_score=0.912 >= 0.75 and retrieval_count_7d=12 > 0",
            "surprise_score=0.031 < 0.15",
            "validator_overlap=0.20 < 0.3",
            "Manual promotion from L0 to L2",
            "lý do: dùng nhiều 👍",
        )
    )


def _audit_row(
    item: str,
    old: str | None,
    new: str,
    reason: str,
    scores: tuple[float | None, int | None, float | None],
) -> Row:
    return (item, old, new, reason, *scores, "system")


def _local(dice: Dice, moment: datetime) -> str:
    return local_iso(moment, dice.offset)


def forgetting_metrics(rows: int, dice: Dice) -> Iterator[Row]:
    """Both clocks in every row, and callers' datetimes with and without an offset."""
    ticks = Ticks(dice.rng, rows + 2)
    for number in range(rows):
        before, after = round(dice.rng.random(), 3), round(dice.rng.random(), 3)
        yield _evaluation(
            ticks.next(),
            dice,
            (f"reg_{number % 40:03d}", dice.phrase(), before, after, before - after),
            (
                None if number % 4 == 0 else round(dice.rng.random(), 3),
                None if number % 5 == 0 else round(dice.rng.random(), 3),
            ),
            _update_kind(number),
        )
    if dice.pathologies:
        # a NaN recall: SQLite stores NaN as NULL, and so is the delta made from it
        yield _evaluation(
            ticks.next(), dice, ("reg_nan", "NaN", None, 0.5, None), (None, None), NO_UPDATE
        )
        yield _evaluation(ticks.next(), dice, ("", "", 3.0, -2.0, 5.0), (None, None), NO_UPDATE)


def _update_kind(number: int) -> int:
    """A third has a naive local datetime, three in forty one with an offset, the others none."""
    return number % 40 if number % 40 in (1, 2, 3) else number % 3 * NO_UPDATE


def _evaluation(
    moment: datetime, dice: Dice, head: tuple[Any, ...], scores: tuple[Any, ...], kind: int
) -> Row:
    """A moment without a fraction keeps none: the L value is then 19 characters long."""
    read = moment if moment.microsecond == 0 else a_little_before(moment, dice.rng)
    whole = read.microsecond == 0
    update = read - timedelta(seconds=1) if whole else a_little_before(read, dice.rng)
    update_stamp = {
        0: local_iso(update, dice.offset),
        1: aware_iso(update, timedelta(0)),
        2: aware_iso(update, dice.offset),
        3: aware_iso(no_fraction(update), timedelta(hours=-3, minutes=-30)),
    }.get(kind)
    return (*head, *scores, local_iso(read, dice.offset), update_stamp, utc_seconds(moment))
