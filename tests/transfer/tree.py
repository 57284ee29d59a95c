"""A legacy table that refers to itself, for tests alone, and its target."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from django.apps.registry import Apps
from django.db import models

from stillme.transfer.kinds import Integer, Key, Reference, Text, Timestamp
from stillme.transfer.legacy import Column, LegacyModel

TREES, TARGETS = Apps([]), Apps([])


class Node(models.Model):
    """The target."""

    id = models.BigAutoField(primary_key=True)
    parent = models.ForeignKey("self", models.PROTECT, null=True)
    name = models.TextField()
    created_at = models.DateTimeField(null=True)
    legacy_extra = models.JSONField(null=True)

    class Meta:
        apps = TARGETS
        app_label = "accuracy"
        db_table = '"accuracy"."nodes"'


class LegacyNode(LegacyModel):
    """Table `parent`, whose name is a word of SQL that is written around it."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    parent_id = Column(Reference("parent"), "INTEGER")
    name = Column(Text(), "TEXT NOT NULL")
    created_at = Column(Timestamp(), "TIMESTAMP")

    class Meta(LegacyModel.Meta):
        apps = TREES
        app_label = "accuracy"
        db_table = "parent"

    class Legacy:
        file = "accuracy"
        target = "accuracy.Node"

    @classmethod
    def target_model(cls) -> type[models.Model]:
        """Not in Django's registry."""
        return Node


def make_tree(directory: Path, rows: dict[int, int | None], bad: set[int]) -> Path:
    """A file with nodes (key -> parent); the names of `bad` ones have a NUL."""
    path = directory / "accuracy_scores.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, parent_id INTEGER, "
            "name TEXT NOT NULL, created_at TIMESTAMP)"
        )
        for key, parent in rows.items():
            name = "a\0b" if key in bad else f"node {key}"
            row = (key, parent, name, "2026-01-01 08:00:00")
            db.execute("INSERT INTO parent VALUES (?, ?, ?, ?)", row)
        db.commit()
    return path


CIRCLES = Apps([])


class Left(LegacyModel):
    """Refers to `right`."""

    id = Column(Key(), "INTEGER PRIMARY KEY")
    right_id = Column(Reference("right"), "INTEGER")

    class Meta(LegacyModel.Meta):
        apps = CIRCLES
        app_label = "accuracy"
        db_table = "left"

    class Legacy:
        file = "accuracy"
        target = "accuracy.AccuracyScore"


class Right(LegacyModel):
    """Refers to `left`."""

    id = Column(Key(), "INTEGER PRIMARY KEY")
    left_id = Column(Reference("left"), "INTEGER")
    number = Column(Integer(), "INTEGER")

    class Meta(LegacyModel.Meta):
        apps = CIRCLES
        app_label = "accuracy"
        db_table = "right"

    class Legacy:
        file = "accuracy"
        target = "accuracy.PerformanceTrend"
