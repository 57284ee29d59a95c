"""Tiers, their audit trail and forgetting, as functions that raise what goes wrong.

The old classes in `continuum.services` wrap these; new code calls them directly. Each is its own
transaction unless the caller has one. No feature flag is consulted here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, TypedDict, Unpack

from django.db import router, transaction
from django.db.models import Avg, Count, F, Min, Q
from django.db.models.functions import Collate, Now, TruncDate
from django.utils import timezone

from continuum.models import TIERS, ForgettingMetric, TierAudit, TierMetric
from continuum.scoring import Move, Standing, demotion, promotion
from stillme.services.arguments import limited, plain, real, whole
from stillme.services.connections import borrows_connection
from stillme.services.times import days_ago_local_date, instant, iso_text, local_zone
from stillme.services.updates import update

AUDIT_COLUMNS = (
    "id",
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
STATE_COLUMNS = (
    "tier",
    "surprise_score",
    "retrieval_count_7d",
    "retrieval_count_30d",
    "validator_overlap",
    "access_count",
)
RECENT_DAYS = 7


class UnknownItemError(LookupError):
    """No item of this id has a metrics row: an endpoint answers 404."""


class NoSuchTierError(ValueError):
    """The item is in the highest or lowest tier already: an endpoint answers 400."""


@borrows_connection
def tier_count() -> dict[str, int]:
    """How many items are in each tier, and how many moved within a week: two statements."""
    rows = TierMetric.objects.order_by().values_list("tier").annotate(count=Count("*"))
    counts = {**dict.fromkeys(TIERS, 0), **dict(rows)}
    counts["total"] = sum(counts.values())
    # The old code compared tier names byte by byte, whatever the language of the database.
    to_tier = Collate(F("to_tier"), "C")
    moves = TierAudit.objects.filter(created_at__gte=days_ago_local_date(RECENT_DAYS)).aggregate(
        promoted_7d=Count("pk", filter=Q(from_tier__lt=to_tier)),
        demoted_7d=Count("pk", filter=Q(from_tier__gt=to_tier)),
    )
    return {**counts, **moves}


class Moved(TypedDict):
    """The arguments of a move: what its audit row says."""

    item_id: str
    from_tier: str | None
    to_tier: str
    reason: str
    surprise_score: float | None
    retrieval_count_7d: int | None
    validator_overlap: float | None


@borrows_connection
def item_promote(**move: Unpack[Moved]) -> bool:
    """Move an item up and audit it, in one transaction; False where it has no metrics row."""
    return item_move(stamp="last_promoted_at", **move)


@borrows_connection
def item_demote(**move: Unpack[Moved]) -> bool:
    """Move an item down and audit it, in one transaction; False where it has no metrics row."""
    return item_move(stamp="last_demoted_at", **move)


@borrows_connection
def item_move(
    *,
    stamp: str,
    item_id: str,
    from_tier: str | None,
    to_tier: str,
    reason: str,
    surprise_score: float | None,
    retrieval_count_7d: int | None,
    validator_overlap: float | None,
) -> bool:
    """Set the tier of an item and write the audit row; both or neither.

    The audit row is written also for an item without metrics. No direction is checked. Raises
    IntegrityError for a tier that does not exist, where the item does.
    """
    now, to_tier = timezone.now(), plain(to_tier)
    with transaction.atomic(using=router.db_for_write(TierMetric)):
        found = TierMetric.objects.filter(pk=plain(item_id)).update(
            **{"tier": to_tier, stamp: now, "updated_at": now}
        )
        TierAudit.objects.create(
            item_id=plain(item_id),
            from_tier=plain(from_tier),
            to_tier=to_tier,
            reason=plain(reason),
            surprise_score=real(surprise_score),
            retrieval_count_7d=whole(retrieval_count_7d),
            validator_overlap=real(validator_overlap),
            performed_by="system",
            created_at=now,
        )
    return bool(found)


@borrows_connection
def item_step_up(*, item_id: str, reason: str | None = None) -> Move:
    """Promote an item by one tier (L0 to L1 to L2 to L3) and audit it, in one transaction.

    What an endpoint calls for "promote this item". The item's row is locked, so that the audit
    row has the tier and the figures that the item really had, whoever moves it at the same time.
    Without a reason the audit says "Manual promotion from L0 to L1". Raises UnknownItemError, and
    NoSuchTierError for an item in L3.
    """
    return _step(item_id, 1, "promotion", reason, "last_promoted_at")


@borrows_connection
def item_step_down(*, item_id: str, reason: str | None = None) -> Move:
    """Demote an item by one tier (L3 to L2 to L1 to L0) and audit it: as `item_step_up`.

    Raises UnknownItemError, and NoSuchTierError for an item in L0.
    """
    return _step(item_id, -1, "demotion", reason, "last_demoted_at")


def _step(item_id: str, by: int, what: str, reason: str | None, stamp: str) -> Move:
    def rule(standing: Standing) -> Move:
        place = TIERS.index(standing.tier) + by
        if place not in range(len(TIERS)):
            raise NoSuchTierError(f"There is no {what} from {standing.tier}.")
        path = f"from {standing.tier} to {TIERS[place]}"
        said = reason or f"Manual {what} {path}"
        return Move(standing.tier, TIERS[place], said, said)

    move = _decide(item_id, rule, stamp)
    if move is None:
        raise UnknownItemError(f"No item {item_id!r} is in any tier.")
    return move


@borrows_connection
def promotion_evaluate(*, item_id: str, threshold: float) -> Move | None:
    """Promote an item that has earned it. Of several callers at once, one promotes."""
    return _decide(item_id, lambda standing: promotion(standing, threshold), "last_promoted_at")


@borrows_connection
def demotion_evaluate(*, item_id: str, threshold: float) -> Move | None:
    """Demote an item that is due. Of several callers at once, one demotes."""
    return _decide(item_id, lambda standing: demotion(standing, threshold), "last_demoted_at")


def _decide(item_id: str, rule: Callable[[Standing], Move | None], stamp: str) -> Move | None:
    """Decide and move under a lock of the item's row: what was read is what is acted upon.

    None where the rule says so, and for an item without a metrics row.
    """
    with transaction.atomic(using=router.db_for_write(TierMetric)):
        row = TierMetric.objects.select_for_update().filter(pk=plain(item_id)).first()
        if row is None:
            return None
        standing = Standing(
            row.tier,
            row.surprise_score or 0.0,
            row.retrieval_count_7d or 0,
            row.validator_overlap or 0.0,
        )
        move = rule(standing)
        if move is not None:
            item_move(
                stamp=stamp,
                item_id=item_id,
                from_tier=move.from_tier,
                to_tier=move.to_tier,
                reason=move.reason,
                surprise_score=standing.surprise_score,
                retrieval_count_7d=standing.retrieval_count_7d,
                validator_overlap=standing.validator_overlap,
            )
        return move


@borrows_connection
def item_set_cycle(*, item_id: str, cycle: int) -> bool:
    """Note the cycle in which an item was last updated; False where it has no metrics row."""
    found = TierMetric.objects.filter(pk=plain(item_id))
    return update(found, lambda: {"last_update_cycle": whole(cycle), "updated_at": Now()})


@borrows_connection
def item_figures(*, item_id: str) -> dict[str, Any]:
    """Retrieval counts and overlap of an item; empty where it has no metrics row."""
    names = ("retrieval_count_7d", "retrieval_count_30d", "validator_overlap")
    return TierMetric.objects.filter(pk=plain(item_id)).values(*names).first() or {}


@borrows_connection
def item_state(*, item_id: str) -> dict[str, Any] | None:
    """Tier, scores and counts of an item, NULL as 0; None where it has no metrics row.

    {"tier": "L1", "surprise_score": 0.8, "retrieval_count_7d": 3, "retrieval_count_30d": 9,
    "validator_overlap": 0.5, "access_count": 0}
    """
    found = TierMetric.objects.filter(pk=plain(item_id)).values(*STATE_COLUMNS).first()
    return found and {name: 0 if value is None else value for name, value in found.items()}


@borrows_connection
def audit_list(*, limit: int | None = 100, item_id: str | None = None) -> list[dict[str, Any]]:
    """The audit trail, newest first, of one item or of all."""
    rows = TierAudit.objects.order_by(F("created_at").desc(nulls_last=True), F("id").desc())
    if item_id:
        rows = rows.filter(item_id=plain(item_id))
    found = limited(rows.values(*AUDIT_COLUMNS), limit)
    return [{**row, "created_at": iso_text(row["created_at"])} for row in found]


@borrows_connection
def forgetting_record(
    *,
    regression_item_id: str,
    regression_query: str,
    recall_before: float,
    recall_after: float,
    faithfulness_score: float | None = None,
    overlap_score: float | None = None,
    knowledge_update_timestamp: date | str | None = None,
) -> int:
    """Store a measurement of recall before and after an update; answers its id."""
    metric = ForgettingMetric.objects.create(
        regression_item_id=plain(regression_item_id),
        regression_query=plain(regression_query),
        recall_at_k_before=real(recall_before),
        recall_at_k_after=real(recall_after),
        forgetting_delta=real(recall_before - recall_after),
        faithfulness_score=real(faithfulness_score),
        overlap_score=real(overlap_score),
        measured_at=timezone.now(),
        knowledge_update_timestamp=instant(knowledge_update_timestamp),
    )
    return int(metric.pk)


@borrows_connection
def forgetting_trend(*, days: float = 30) -> list[dict[str, Any]]:
    """Averages per local calendar date, ascending."""
    since = days_ago_local_date(days)
    if since is None:
        return []
    dates = (
        ForgettingMetric.objects.filter(measured_at__gte=since)
        .annotate(date=TruncDate("measured_at", tzinfo=local_zone()))
        .order_by("date")
        .values("date")
    )
    rows = dates.annotate(
        earliest=Min("measured_at"),
        avg_forgetting_delta=Avg("forgetting_delta"),
        avg_recall_before=Avg("recall_at_k_before"),
        avg_recall_after=Avg("recall_at_k_after"),
        evaluation_count=Count("*"),
    )
    return [_trend(dict(row)) for row in rows]


def _trend(row: dict[str, Any]) -> dict[str, Any]:
    figures = {name: value for name, value in row.items() if name not in ("date", "earliest")}
    return {"evaluation_timestamp": iso_text(row["earliest"]), **figures}
