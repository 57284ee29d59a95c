"""The random mixture of writes that a busy installation makes on all four files."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from typing import Any

from stillme.demo.samples import schema
from stillme.demo.samples.rows.rss_rows import ADDED, OUTCOMES
from stillme.demo.samples.rows.texts import Dice
from stillme.demo.samples.writers.legacy_classes import LegacyWriter


class Mix:
    """A random mixture of every write, on rows that exist and on some that do not."""

    def __init__(self, writer: LegacyWriter, seed: int, *, pathologies: bool = True) -> None:
        self.writer = writer
        self.pathologies = pathologies
        self.dice = Dice(seed, "writer", offset_minutes=0, pathologies=pathologies)
        self.rng: random.Random = self.dice.rng
        self.keys = {table: self._known(table) for table in schema.FILE_OF_TABLE}
        self.actions = [
            (action, weight)
            for file, action, weight in self._all_actions()
            if self._has_tables(file)
        ]

    def _all_actions(self) -> list[tuple[str, Callable[[], None], int]]:
        return [
            (schema.KNOWLEDGE, self._add_knowledge, 14),
            (schema.KNOWLEDGE, self._retention, 12),
            (schema.KNOWLEDGE, self._session, 12),
            (schema.KNOWLEDGE, self._cleanup, 1),
            (schema.KNOWLEDGE, self._relationship, 3),
            (schema.KNOWLEDGE, self._renumber, 1),
            (schema.ACCURACY, self._score, 12),
            (schema.ACCURACY, self._objective, 6),
            (schema.ACCURACY, self._trend, 3),
            (schema.CONTINUUM, self._tier, 10),
            (schema.CONTINUUM, self._move, 10),
            (schema.CONTINUUM, self._forgetting, 4),
            (schema.RSS, self._cycle, 4),
            (schema.RSS, self._item, 16),
        ]

    def step(self) -> None:
        """One write."""
        actions, weights = zip(*self.actions, strict=True)
        self.rng.choices(actions, weights)[0]()

    def _has_tables(self, file: str) -> bool:
        """A disabled continuum file has none."""
        return all(self._known(table, 0) is not None for table in schema.TABLES[file])

    def _known(self, table: str, limit: int = 2_000) -> list[Any] | None:
        """Keys that are there at the start; None when there is no such table."""
        path = self.writer.directory / schema.FILE_OF_TABLE[table]
        column = "item_id" if table == "tier_metrics" else "id"
        connection = sqlite3.connect(path)
        try:
            found = connection.execute(f"SELECT {column} FROM {table} LIMIT ?", (limit,))
            return [row[0] for row in found]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
        finally:
            connection.close()

    def _pick(self, table: str) -> Any:
        keys = self.keys[table]
        return self.rng.choice(keys) if keys else 1

    def _made(self, table: str, key: Any) -> None:
        keys = self.keys[table]
        assert keys is not None
        keys.append(key)

    def _metadata(self) -> Any:
        plain: tuple[Any, ...] = (None, {"title": self.dice.phrase()}, [1, "hai"])
        odd = ({"n": float("nan")}, {"k\0": "\ud83d"})
        return self.rng.choice((*plain, *odd) if self.pathologies else plain)

    def _text(self) -> str:
        text = self.dice.prose()
        odd = self.pathologies and self.dice.one_in(40)
        return f"{text}\0{text}" if odd else text

    def _add_knowledge(self) -> None:
        text = self.dice.escaped(self._text())
        key = self.writer.add_knowledge(text, "arxiv", metadata=self._metadata())
        self._made("knowledge_items", key)

    def _retention(self) -> None:
        self.writer.update_retention_score(self._pick("knowledge_items"), self.rng.random())

    def _session(self) -> None:
        key = self.writer.record_learning_session("chat", self._text(), 0.5, 0.0, self._metadata())
        self._made("learning_sessions", key)

    def _cleanup(self) -> None:
        self.writer.cleanup_old_knowledge(self.rng.choice((0, 30)), self.rng.choice((0.05, 0.3)))

    def _relationship(self) -> None:
        items = self._pick("knowledge_items"), self._pick("knowledge_items")
        self.writer.add_relationship(*items, "related_to", self.rng.random())

    def _renumber(self) -> None:
        """To a negative number, which SQLite never gives out itself."""
        new = -self.rng.getrandbits(40) - 1
        self.writer.renumber_session(self._pick("learning_sessions"), new)
        self._made("learning_sessions", new)

    def _score(self) -> None:
        self.writer.score_response(self.dice.phrase() + "?", self._text())

    def _objective(self) -> None:
        if self.dice.one_in(3):
            key = self.writer.set_learning_objective(self.dice.phrase(), 0.8, self._metadata())
            self._made("learning_objectives", key)
        else:
            progress = round(self.rng.random(), 3)
            self.writer.update_objective_progress(self._pick("learning_objectives"), progress)

    def _trend(self) -> None:
        self.writer.add_trend("latency_ms", self.rng.uniform(0, 5000), "2025-12-31", None)

    def _tier(self) -> None:
        item = str(self._pick("tier_metrics"))
        fresh = f"knowledge_{self.dice.hex_id(12)}"
        tier = self.rng.choice(("L0", "L1", "L2", "L3"))
        choice = self.rng.randrange(10)
        if choice < 4:
            self.writer.insert_tier(fresh, tier, self.rng.random(), self.rng.randrange(20))
        elif choice < 6:
            self.writer.replace_tier(item, tier, self.rng.random())
        elif choice < 8:
            self.writer.update_tier_cycle(item, self.rng.choice((1, 10, 100)))
        else:
            self.writer.rename_tier(item, fresh)
        if choice < 4 or choice >= 8:
            self._made("tier_metrics", fresh)

    def _move(self) -> None:
        item, reason = str(self._pick("tier_metrics")), self.dice.phrase()
        if self.dice.one_in(2):
            self.writer.promote_item(item, self.rng.choice((None, "L0")), "L1", reason)
        else:
            self.writer.demote_item(item, "L2", "L1", reason)

    def _forgetting(self) -> None:
        odd = self.pathologies and self.dice.one_in(30)
        before = float("nan") if odd else self.rng.random()
        stamp = self.rng.choice((None, "2025-12-04T09:37:53.249094+07:00"))
        self.writer.record_forgetting_metric("reg_1", self._text(), before, 0.25, stamp)

    def _cycle(self) -> None:
        if self.dice.one_in(2):
            key = self.writer.create_fetch_cycle(self.rng.randrange(4))
            self._made("rss_fetch_cycles", key)
        else:
            self.writer.complete_fetch_cycle(self._pick("rss_fetch_cycles"))

    def _item(self) -> None:
        status = ADDED if self.dice.one_in(2) else self.rng.choice(OUTCOMES)[0]
        summary = None if self.dice.one_in(9) else self.dice.markup()
        link = "https://example.org/" + self.dice.hex_id(8)
        self.writer.add_fetch_item(
            self._pick("rss_fetch_cycles"), self._text(), link, summary, status
        )
