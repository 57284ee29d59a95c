"""Rows of accuracy_scores.db: scored answers, trends nobody wrote, objectives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from stillme.demo.samples.clock import SPAN, START, Ticks, utc_seconds
from stillme.demo.samples.rows.conversations import conversations
from stillme.demo.samples.rows.texts import Dice

Row = tuple[Any, ...]

SCORE_COLUMNS = (
    "question",
    "expected_answer",
    "actual_answer",
    "accuracy_score",
    "scoring_method",
    "context_used",
    "created_at",
    "metadata",
)
TREND_COLUMNS = ("metric_name", "metric_value", "measurement_date", "context", "created_at")
OBJECTIVE_COLUMNS = (
    "objective_name",
    "target_accuracy",
    "current_accuracy",
    "status",
    "created_at",
    "achieved_at",
    "metadata",
)


def accuracy_scores(rows: int, seed: int, dice: Dice) -> Iterator[Row]:
    """The answers of the chat sessions again, with their score."""
    for number, chat in enumerate(conversations(rows, seed, dice.pathologies), 1):
        yield (
            chat.question,
            chat.expected,
            chat.answer,
            chat.score,
            chat.method,
            dice.rng.choice(("", dice.prose())) if dice.one_in(18) else None,
            utc_seconds(chat.moment),
            json.dumps({"model": "x", "t": number} if dice.one_in(12) else {}),
        )


def performance_trends(rows: int, dice: Dice) -> Iterator[Row]:
    """No code path ever wrote one: put in by hand, all within a few minutes."""
    ticks = Ticks(dice.rng, rows, start=START + SPAN, span=timedelta(minutes=4))
    for number in range(rows):
        day = (START + timedelta(days=dice.rng.randrange(200) - 150)).date()
        value = (dice.rng.random(), dice.rng.uniform(0, 5000), -1.5, 0.0, 1e-9)[number % 5]
        yield (
            ("accuracy", "latency_ms", "độ_tin_cậy")[number % 3],
            value,
            day.isoformat(),
            (None, "", '{"w": "7d"}', "free text")[number // 3 % 4],
            utc_seconds(ticks.next()),
        )


def learning_objectives(rows: int, dice: Dice) -> Iterator[Row]:
    """Active ones, and achieved ones with the moment of the last update that met the target."""
    ticks = Ticks(dice.rng, rows, start=START + SPAN, span=timedelta(minutes=2))
    for number in range(rows):
        target = dice.rng.randint(30, 98) / 100
        current = 0.0 if dice.one_in(3) else round(dice.rng.random(), 3)
        achieved = number % 5 == 1 or current >= target
        moment = ticks.next()
        yield (
            ("Reach 90% on ethics", "Đạt độ chính xác 0.8", "", "obj")[number % 4],
            target,
            current,
            "achieved" if achieved else "active",
            utc_seconds(moment),
            utc_seconds(moment + timedelta(seconds=number % 3)) if achieved else None,
            json.dumps(({}, {"area": "triết học"}, {"n": 1})[number % 3]),
        )
