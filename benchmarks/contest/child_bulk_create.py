"""Loads one legacy file through the ORM; a process of its own, started by benchmarks/compare.py."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from benchmarks.contest.server import COLUMNS

BATCH = 5_000


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
    import django

    django.setup()
    from knowledge.models import KnowledgeItem

    names = COLUMNS.split(", ")
    with closing(sqlite3.connect(sys.argv[1])) as legacy:
        rows = legacy.execute(f"SELECT {COLUMNS} FROM knowledge_items ORDER BY id")
        while batch := list(islice(rows, BATCH)):
            items = [KnowledgeItem(**values(names, row)) for row in batch]
            KnowledgeItem.objects.bulk_create(items)


def values(names: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    """One row as the model takes it."""
    found = dict(zip(names, row, strict=True))
    for name in ("last_accessed", "created_at"):
        if found[name] is not None:
            found[name] = datetime.fromisoformat(found[name]).replace(tzinfo=UTC)
    if found["metadata"] is not None:
        found["metadata"] = json.loads(found["metadata"])
    return found


if __name__ == "__main__":
    main()
