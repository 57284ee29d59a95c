"""Rows of knowledge_retention.db: items, chat sessions, and relationships that nobody wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from stillme.demo.samples.clock import SPAN, START, Ticks, utc_seconds
from stillme.demo.samples.rows.conversations import conversations
from stillme.demo.samples.rows.texts import Dice

Row = tuple[Any, ...]

ITEM_COLUMNS = (
    "content",
    "source",
    "knowledge_type",
    "confidence_score",
    "retention_score",
    "access_count",
    "last_accessed",
    "created_at",
    "metadata",
)
SESSION_COLUMNS = (
    "session_type",
    "content_learned",
    "accuracy_score",
    "retention_improvement",
    "created_at",
    "metadata",
)
RELATIONSHIP_COLUMNS = ("source_id", "target_id", "relationship_type", "strength", "created_at")

SOURCES = (
    "arxiv",
    "crossref",
    "wikipedia",
    "papers_with_code",
    "stanford_encyclopedia",
    "conference_neurips",
    "community_proposal:17",
    "https://www.example.org/feed.rss",
    "https://e.example/?a=1&amp;b=2",
)
TYPES = ("knowledge",) * 6 + ("article", "document", "general", "foundational", "conversation")
USERS = ({"user_id": None}, {"user_id": "anonymous"}, {"user_id": "người dùng"}, {"user_id": "u-7"})

NAN = float("nan")
INFINITY = float("inf")

CLEAN_METADATA: tuple[Any, ...] = (
    {"nested": {"ключ": [1, {"z": None}], "empty": ""}, "published": "2025-11-20T10:00:00Z"},
    {"big": 10**40, "tiny": 1e-320, "whole": 1.0, "hundred": 1e2},
    [1, "hai", None, {"ba": 3}],
    "only a string",
    {"null": None, "true": True, "1.5": [], "html": "&lt;b&gt;&#x27;"},
)
PATHOLOGICAL_METADATA: tuple[Any, ...] = (
    {"score": NAN, "hi": INFINITY, "lo": -INFINITY},
    {"k\0ey": "v"},
    {"k": "half \ud83d pair"},
    {"\udc00alone": [NAN], "deep": {"a": [{"b\0": "\udfff"}]}},
)
SpecialItem = tuple[str, str, str, float | None, float | None]
SPECIAL_ITEMS: tuple[SpecialItem, ...] = (
    ("nul \0 inside", "", "", 0.5, 0.75),
    ("", "", "", 0.5, 0.0),
    (" ", "", "", 0.5, 0.81),
    ("confidence and retention are null", "s", "general", None, None),
    ("scores outside their range", "s", "general", 7.5, -1.25),
    ("&quot;&amp;&lt;" * 16_000, "arxiv", "document", 0.5, 0.9),
    ("tab\t line\r\n end \x01\x0b\x7f\u2028 bom \ufeff rtl \u200f", "s", "general", 0.8, 1.7),
)


def knowledge_items(rows: int, dice: Dice) -> Iterator[Row]:
    """What POST /api/learning/add left, then the special rows of a variant with pathologies."""
    ticks = Ticks(dice.rng, rows + len(SPECIAL_ITEMS))
    for number in range(rows):
        content = dice.escaped(dice.prose() + (" <i>&</i> 'trích'" if dice.one_in(6) else ""))
        yield _item(
            dice,
            ticks,
            (
                content,
                dice.rng.choice(SOURCES),
                dice.rng.choice(TYPES),
                0.8 if dice.one_in(9) else 0.5,
                _retention(dice),
            ),
            json.dumps(_metadata(number, dice)),
        )
    for special, metadata in _specials(dice.pathologies):
        yield _item(dice, ticks, special, json.dumps(metadata))


def _specials(pathologies: bool) -> Iterator[tuple[SpecialItem, Any]]:
    """Rows made for their metadata, then rows made for their texts and numbers."""
    odd = CLEAN_METADATA + (PATHOLOGICAL_METADATA if pathologies else ())
    for number, metadata in enumerate(odd):
        yield (f"metadata {number}", "arxiv", "general", 0.5, 0.9), metadata
    if pathologies:
        for special in SPECIAL_ITEMS:
            yield special, {}


def _item(dice: Dice, ticks: Ticks, head: tuple[Any, ...], metadata: str) -> Row:
    """A row whose last_accessed moved only when its retention score was updated."""
    made = ticks.next()
    seen = made + timedelta(hours=dice.rng.randint(1, 900)) if head[4] else made
    return (*head, 0, utc_seconds(seen), utc_seconds(made), metadata)


def _metadata(number: int, dice: Dice) -> dict[str, Any]:
    """Keys as clients sent them; a third of the rows has none."""
    if number % 3 == 0:
        return {}
    return {
        "title": dice.phrase(3, 6),
        "link": f"https://example.org/a/{number}?x=1&y=2",
        "tags": ["a", "b", None, True, 1.5],
    }


def _retention(dice: Dice) -> float:
    """Zero in production; other values come from update_retention_score."""
    if dice.rng.random() < 0.5:
        return 0.0
    return dice.rng.choice(
        (0.2, 0.3, 0.7, 0.75, 1.0, round(dice.rng.random(), 3), dice.rng.random())
    )


def learning_sessions(rows: int, seed: int, dice: Dice) -> Iterator[Row]:
    """One row per chat answer; the same answers are scored in accuracy_scores.db."""
    for chat in conversations(rows, seed, dice.pathologies):
        yield (
            "rss_learning" if dice.one_in(20) else "chat",
            f"Q: {chat.question}\nA: {chat.answer}",
            chat.score,
            0.0 if dice.rng.random() < 0.9 else round(dice.rng.uniform(-0.2, 0.4), 4),
            utc_seconds(chat.moment),
            json.dumps(dice.rng.choice(USERS)),
        )


def relationships(rows: int, last_item: int, dice: Dice) -> Iterator[Row]:
    """Filled by a script: ids of items that cleanup has deleted since, itself, and duplicates."""
    ticks = Ticks(dice.rng, rows, start=START + SPAN, span=timedelta(minutes=3))
    for number in range(rows):
        source = dice.rng.randint(1, last_item)
        target = source if number % 29 == 0 else dice.rng.randint(1, last_item)
        yield (
            source,
            target,
            dice.rng.choice(("derived_from", "related_to", "mâu thuẫn")),
            round(dice.rng.random(), 3),
            utc_seconds(ticks.next()),
        )
