"""What it costs not to believe the indexes of a legacy file, beside what else could be done.

    python benchmarks/file_indexes.py --rows 1000000 --repeat 3

Makes `rss_fetch_items`, which has three indexes, copies the file as a snapshot does, and times on
the copy: taking the indexes out, a full scan that counts, and SQLite's own checks, which would be
another way to trust an index. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
TABLE = "rss_fetch_items"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as name:
        import django

        django.setup()
        from stillme.demo.samples import make_bulk
        from stillme.transfer.registry import legacy_file

        make_bulk(Path(name), TABLE, arguments.rows)
        source = Path(name) / legacy_file("rss").path.name
        rounds = [measure(source, Path(name)) for _ in range(arguments.repeat)]
        size = source.stat().st_size
    print(f"{arguments.rows:,} rows, {size / 1e6:,.0f} MB, median of {arguments.repeat}\n")
    print("| what | seconds |")
    print("|---|---|")
    for what in rounds[0]:
        print(f"| {what} | {statistics.median(found[what] for found in rounds):.2f} |")


def measure(source: Path, folder: Path) -> dict[str, float]:
    """Seconds by what was done, each on a copy of its own."""
    from stillme.transfer.sqlite.copying.file_indexes import distrust_indexes
    from stillme.transfer.sqlite.copying.snapshot import take_snapshot
    from stillme.transfer.sqlite.reading.connect import open_legacy
    from stillme.transfer.sqlite.schema.found import row_count

    def ask(copy: Path, pragma: str) -> None:
        connection = open_legacy(copy)
        connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.close()

    def count(copy: Path) -> None:
        connection = open_legacy(copy)
        row_count(connection, TABLE)
        connection.close()

    def reindex(copy: Path) -> None:
        import sqlite3

        connection = sqlite3.connect(copy)
        connection.execute("REINDEX")
        connection.close()

    ways: dict[str, Callable[[Path], object]] = {
        "chosen: the file's indexes are taken out of the copy": lambda c: distrust_indexes(c, c),
        "chosen: rows counted by a full scan": count,
        "instead: PRAGMA integrity_check": lambda c: ask(c, "integrity_check"),
        "instead: PRAGMA quick_check, which looks at no index": lambda c: ask(c, "quick_check"),
        "instead: REINDEX of the copy": reindex,
    }
    found = {}
    for what, way in ways.items():
        copy = take_snapshot("copy", source, folder, keep_indexes=True).path
        began = time.perf_counter()
        way(copy)
        found[what] = time.perf_counter() - began
        copy.unlink()
    return found


if __name__ == "__main__":
    main()
