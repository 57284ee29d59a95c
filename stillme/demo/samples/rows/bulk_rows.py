"""Rows for large files: real shapes, made fast from pools of ready texts.

Every row is a good one. The texts come from a pool and carry the row's number, the stamps follow
from the number, so a million rows cost some ten seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from stillme.demo.samples.clock import utc_seconds
from stillme.demo.samples.rows.texts import Dice

Row = tuple[Any, ...]

START = datetime(2023, 1, 1)
STEP = timedelta(seconds=47, microseconds=123_457)
OFFSET = timedelta(hours=7)
POOL = 2_039
"""A prime, so that pooled texts and other cycles of the row number do not fall into step."""


@dataclass(frozen=True)
class Pools:
    """Texts made once: long ones of 64 to 183 characters, phrases, and metadata to fill in."""

    long: list[str]
    phrase: list[str]
    keys: list[str]
    parents: int = 1

    @classmethod
    def make(cls, seed: int) -> Pools:
        """The pools of one seed."""
        dice = Dice(seed, "bulk", offset_minutes=420, pathologies=False)
        long = [_cut(" ".join(dice.phrase() for _ in range(9)), 64 + n % 120) for n in range(POOL)]
        phrase = [_cut(dice.phrase(4, 9), 60) for _ in range(POOL)]
        keys = [json.dumps(_metadata(text, n))[1:-1] for n, text in enumerate(phrase)]
        return cls(long, phrase, keys)

    def with_parents(self, parents: int) -> Pools:
        """The same texts, for a table that refers to another of so many rows."""
        return replace(self, parents=max(parents, 1))


def _cut(text: str, length: int) -> str:
    return text[:length].rstrip()


def _metadata(title: str, number: int) -> dict[str, Any]:
    """What clients send along: strings, a list, a number, now and then a nested object."""
    found: dict[str, Any] = {
        "title": title[: 12 + number % 20],
        "tags": ["ai", "đạo đức", None][: number % 4],
        "weight": number / 8,
    }
    if number % 5 == 0:
        found["published"] = {"at": "2025-11-20T10:00:00Z", "checked": True}
    return found


def _local(moment: datetime) -> str:
    return (moment + OFFSET).isoformat()


def _knowledge_items(n: int, at: datetime, pools: Pools) -> Row:
    stamp = utc_seconds(at)
    metadata = "{}" if n % 4 == 0 else f'{{"n": {n}, {pools.keys[n % POOL]}}}'
    head = (f"{pools.long[n % POOL]} {n}", "arxiv", "knowledge")
    return (*head, 0.5, n % 1000 / 999, 0, stamp, stamp, metadata)


def _learning_sessions(n: int, at: datetime, pools: Pools) -> Row:
    text = f"Q: {pools.phrase[n % POOL]}?\nA: {pools.long[n * 7 % POOL]} [{n}]"
    user = "null" if n % 3 else f'"u-{n % 977}"'
    return ("chat", text, n % 41 / 40, 0.0, utc_seconds(at), f'{{"user_id": {user}}}')


def _knowledge_relationships(n: int, at: datetime, pools: Pools) -> Row:
    source, target = 1 + n * 31 % pools.parents, 1 + n * 17 % pools.parents
    return (source, target, "related_to", n % 1001 / 1000, utc_seconds(at))


def _accuracy_scores(n: int, at: datetime, pools: Pools) -> Row:
    question = f"{pools.phrase[n % POOL]} {n}?"
    answer = pools.long[n * 7 % POOL]
    expected = pools.phrase[n * 3 % POOL] if n % 9 == 0 else None
    rest = (n % 41 / 40, "semantic_similarity", None, utc_seconds(at), "{}")
    return (question, expected, answer, *rest)


def _performance_trends(n: int, at: datetime, pools: Pools) -> Row:
    return ("latency_ms", n * 0.37, at.date().isoformat(), None, utc_seconds(at))


def _learning_objectives(n: int, at: datetime, pools: Pools) -> Row:
    stamp = utc_seconds(at)
    achieved = n % 4 == 0
    status = "achieved" if achieved else "active"
    done = stamp if achieved else None
    return (pools.phrase[n % POOL], 0.9, n % 100 / 100, status, stamp, done, '{"n": 1}')


def _tier_metrics(n: int, at: datetime, pools: Pools) -> Row:
    promoted = _local(at) if n % 3 == 0 else None
    updated = promoted or utc_seconds(at)
    counts = (n % 997 / 996, n % 13, n % 90, n % 101 / 100)
    stamps = (promoted, None, utc_seconds(at), updated)
    return (f"knowledge_{n:016x}", f"L{n % 4}", *counts, *stamps, n % 1000)


def _tier_audit(n: int, at: datetime, pools: Pools) -> Row:
    reason = f"surprise_score=0.912 >= 0.75 and retrieval_count_7d={n % 13} > 0"
    scores = (n % 997 / 996, n % 13, n % 101 / 100)
    return (f"knowledge_{n:016x}", "L0", "L1", reason, *scores, "system", _local(at))


def _forgetting_metrics(n: int, at: datetime, pools: Pools) -> Row:
    before, after = n % 101 / 100, n % 89 / 88
    head = (f"reg_{n % 1000:03d}", pools.phrase[n % POOL], before, after, before - after)
    return (*head, None, n % 7 / 6, _local(at), None, utc_seconds(at))


def _rss_fetch_items(n: int, at: datetime, pools: Pools) -> Row:
    added = n % 2 == 0
    link = f"https://example.org/bài-viết/{n}?a=1&b=2"
    summary = f"<p>{pools.long[n * 5 % POOL]}</p>"
    local = _local(at)
    outcome = ("Added to RAG", None) if added else ("Filtered: Low Score", "Content too short")
    vector = ("knowledge_https://", local) if added else (None, None)
    head = (1 + n % pools.parents, pools.phrase[n % POOL], "arxiv", link, summary, local)
    return (*head, *outcome, *vector, utc_seconds(at))


def _rss_fetch_cycles(n: int, at: datetime, pools: Pools) -> Row:
    done = _local(at) if n % 3 == 0 else None
    return (n % 40, 20, 10, 10, 0, 10, 0, _local(at), done, utc_seconds(at))


MAKERS: dict[str, Callable[[int, datetime, Pools], Row]] = {
    "knowledge_items": _knowledge_items,
    "learning_sessions": _learning_sessions,
    "knowledge_relationships": _knowledge_relationships,
    "accuracy_scores": _accuracy_scores,
    "performance_trends": _performance_trends,
    "learning_objectives": _learning_objectives,
    "tier_metrics": _tier_metrics,
    "tier_audit": _tier_audit,
    "forgetting_metrics": _forgetting_metrics,
    "rss_fetch_items": _rss_fetch_items,
    "rss_fetch_cycles": _rss_fetch_cycles,
}


def bulk_rows(table: str, count: int, pools: Pools) -> Iterator[Row]:
    """The rows of one table, in time order."""
    make = MAKERS[table]
    at = START
    for number in range(count):
        yield make(number, at, pools)
        at += STEP
