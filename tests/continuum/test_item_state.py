"""An item's state, and one step up or down as one call: the audit row says what really was."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from continuum import api
from continuum.models import TierAudit, TierMetric
from tests.domains.queries import plans, statements
from tests.ops.threads import in_threads

pytestmark = pytest.mark.django_db
FIGURES = {"surprise_score": 0.9, "retrieval_count_7d": 3, "validator_overlap": 0.5}
STEPS = [
    (api.item_step_up, "L0", "L1", "promotion", "last_promoted_at"),
    (api.item_step_up, "L1", "L2", "promotion", "last_promoted_at"),
    (api.item_step_up, "L2", "L3", "promotion", "last_promoted_at"),
    (api.item_step_down, "L3", "L2", "demotion", "last_demoted_at"),
    (api.item_step_down, "L2", "L1", "demotion", "last_demoted_at"),
    (api.item_step_down, "L1", "L0", "demotion", "last_demoted_at"),
]
ENDS = [
    (api.item_step_up, "L3", "There is no promotion from L3."),
    (api.item_step_down, "L0", "There is no demotion from L0."),
]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (FIGURES, {**FIGURES, "retrieval_count_30d": 0, "access_count": 0}),
        (
            dict.fromkeys(api.STATE_COLUMNS[1:]),
            dict.fromkeys(api.STATE_COLUMNS[1:], 0),
        ),
    ],
)
def test_state(stored: dict[str, Any], expected: dict[str, Any]) -> None:
    TierMetric.objects.create(item_id="k", tier="L1", **stored)
    with statements(1):
        assert api.item_state(item_id="k") == {"tier": "L1", **expected}


def test_an_unknown_item_has_no_state() -> None:
    assert api.item_state(item_id="k") is None


@pytest.mark.parametrize(("call", "tier", "to", "what", "stamp"), STEPS)
@pytest.mark.parametrize("reason", [None, "", "seen often", "a\0b"])
def test_a_step(call: Any, tier: str, to: str, what: str, stamp: str, reason: str | None) -> None:
    TierMetric.objects.create(item_id="k", tier=tier, **FIGURES)
    said = (reason or f"Manual {what} from {tier} to {to}").replace(
        "\0", "\N{REPLACEMENT CHARACTER}"
    )
    with statements(3):
        move = call(item_id="k", reason=reason)
    assert (move.from_tier, move.to_tier) == (tier, to)
    row, audit = TierMetric.objects.get(), TierAudit.objects.get()
    assert (row.tier, getattr(row, stamp)) == (to, audit.created_at)
    assert (audit.item_id, audit.from_tier, audit.to_tier, audit.reason) == ("k", tier, to, said)
    assert {name: getattr(audit, name) for name in FIGURES} == FIGURES
    assert audit.performed_by == "system"


@pytest.mark.parametrize(("call", "tier", "sentence"), ENDS)
def test_no_step_beyond_the_ends(call: Any, tier: str, sentence: str) -> None:
    TierMetric.objects.create(item_id="k", tier=tier)
    with pytest.raises(api.NoSuchTierError, match=sentence):
        call(item_id="k")
    assert (TierMetric.objects.get().tier, TierAudit.objects.count()) == (tier, 0)


@pytest.mark.parametrize("call", [api.item_step_up, api.item_step_down])
def test_an_unknown_item_is_not_audited(call: Any) -> None:
    with pytest.raises(api.UnknownItemError, match="'k'"), transaction.atomic():
        call(item_id="k")
    assert not TierAudit.objects.exists()


def test_items_are_found_by_their_key() -> None:
    TierMetric.objects.create(item_id="k", tier="L0")
    with connection.cursor() as cursor:
        # So small a table is read whole, depending on what other tests left of it.
        cursor.execute("SET LOCAL enable_seqscan = off")
    for call in (api.item_state, api.item_step_up):
        (plan,) = plans(lambda call=call: call(item_id="k"))
        assert "Index Cond: (item_id = 'k'" in plan


@pytest.mark.django_db(transaction=True)
def test_many_callers_move_an_item_one_tier_each() -> None:
    """The old endpoint read the tier, and wrote it later: two calls audited the same step."""
    TierMetric.objects.create(item_id="k", tier="L0", **FIGURES)

    def step(number: int) -> str:
        try:
            return api.item_step_up(item_id="k").from_tier
        except api.NoSuchTierError:
            return "end"

    assert sorted(in_threads(8, step)) == ["L0", "L1", "L2", *["end"] * 5]
    audit = TierAudit.objects.order_by("id").values_list("from_tier", "to_tier")
    assert list(audit) == [("L0", "L1"), ("L1", "L2"), ("L2", "L3")]
