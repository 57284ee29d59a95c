"""Legacy models of tests alone, in a registry of their own: two files with a table `entries`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from django.apps.registry import Apps

from stillme.transfer.kinds import Integer, Key, Real, Text, Timestamp
from stillme.transfer.legacy import Column, LegacyModel

TWINS = Apps([])


class ScoreEntry(LegacyModel):
    """Table `entries` of the file `accuracy`."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    question = Column(Text(), "TEXT NOT NULL")
    actual_answer = Column(Text(), "TEXT NOT NULL")
    accuracy_score = Column(Real(), "NOT NULL")
    scoring_method = Column(Text(), "TEXT NOT NULL")

    class Meta(LegacyModel.Meta):
        apps = TWINS
        app_label = "accuracy"
        db_table = "entries"

    class Legacy:
        file = "accuracy"
        target = "accuracy.AccuracyScore"


class CycleEntry(LegacyModel):
    """Table `entries` of the file `rss`."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    cycle_number = Column(Integer(), "NOT NULL")
    started_at = Column(Timestamp(), "TEXT NOT NULL")
    status = Column(Text(), "TEXT NOT NULL")

    class Meta(LegacyModel.Meta):
        apps = TWINS
        app_label = "rss"
        db_table = "entries"

    class Legacy:
        file = "rss"
        target = "rss.FetchCycle"


def make_twins(directory: Path) -> None:
    """Rows 1 to 9 in both: of 2 a text has a NUL, of 3 a number is stored as text."""
    with closing(sqlite3.connect(directory / "accuracy_scores.db")) as db:
        db.execute(
            "CREATE TABLE entries (id INTEGER PRIMARY KEY AUTOINCREMENT, question TEXT NOT NULL, "
            "actual_answer TEXT NOT NULL, accuracy_score NOT NULL, scoring_method TEXT NOT NULL)"
        )
        for key in range(1, 10):
            answer = "a\0b" if key == 2 else "answer"
            score = "0.5" if key == 3 else 0.25
            row = (key, f"question {key}", answer, score, "manual")
            db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row)
        db.commit()
    with closing(sqlite3.connect(directory / "rss_fetch_history.db")) as db:
        db.execute(
            "CREATE TABLE entries (id INTEGER PRIMARY KEY AUTOINCREMENT, cycle_number NOT NULL, "
            "started_at TEXT NOT NULL, status TEXT NOT NULL)"
        )
        for key in range(1, 10):
            number = "7" if key == 3 else key
            status = "a\0b" if key == 2 else "completed"
            row = (key, number, f"2026-01-0{key} 08:00:00", status)
            db.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", row)
        db.commit()
