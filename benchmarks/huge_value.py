"""What one huge value costs: import, verification and repetition of a file that holds one.

    python benchmarks/huge_value.py --mb 100 --rows 10000
    python benchmarks/huge_value.py --mb 100 --rows 10000 --column metadata

Beside the usual rows of `knowledge_items` stands one text of so many megabytes (`content`) or one
JSON document (`metadata`, or `--column text` for a document that is one text). Each command is
a process of its own; the peak is the resident memory of the largest of its processes, as the kernel
counted it. Of the server: the most that one of its sessions allocated itself (shared memory not
among it), looked at 50 times a second. Prints Markdown; `--json` writes the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

from benchmarks.contest.ground import FILE, TABLE, Ground, make_clean  # noqa: E402
from benchmarks.contest.process import wait_for_quiet  # noqa: E402
from benchmarks.contest.server import Server  # noqa: E402

_PAUSE = 0.02
# A process starts with the size of the one that started it: this one is small.
_COUNTED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--column", choices=sorted(_VALUES), default="content")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    import django

    django.setup()
    with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as name:
        folder = make_clean(Path(name), arguments.rows)
        server = Server()
        try:
            ground = Ground(server, folder, arguments.rows)
            figures = measure(ground, arguments.mb, arguments.column)
        finally:
            server.close()
    print(f"Huge value in: {arguments.column}\n")
    report(figures, arguments.mb, arguments.rows)
    if arguments.json:
        found = {name: getattr(arguments, name) for name in ("mb", "rows", "column")}
        found["figures"] = figures
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def measure(ground: Ground, megabytes: int, column: str) -> dict[str, dict[str, float]]:
    """Without the document, with it, again, and with it changed."""
    found = {}
    ground.server.fresh()
    found["import without it"] = command(ground, "import_sqlite")
    found["verify without it"] = command(ground, "verify_migration")
    plant(ground.folder, column, _VALUES[column](megabytes * 1_000_000, "first"))
    ground.server.fresh()
    found["import"] = command(ground, "import_sqlite")
    found["verify"] = command(ground, "verify_migration")
    found["import, nothing changed"] = command(ground, "import_sqlite")
    plant(ground.folder, column, _VALUES[column](megabytes * 1_000_000, "second"))
    found["import, the document changed"] = command(ground, "import_sqlite")
    found["verify after it"] = command(ground, "verify_migration")
    return found


def long_text(size: int, word: str) -> str:
    """So many bytes, with what must be looked at in a text."""
    line = (
        f'{word} paragraph of a long document: \u00e9\u20ac\U0001f600 \\N \\. "quoted", and so on\n'
    )
    return line * (size // len(line.encode()) + 1)


def long_document(size: int, word: str) -> str:
    """So many bytes of JSON: many small objects, as the application's own metadata."""
    members = []
    for number in range(size // 184):
        value = {
            "title": f"{word} tri th\u1ee9c",
            "score": number / 7,
            "tags": ["a", "b"],
            "ok": True,
        }
        members.append(f'"item {number:09d}": {json.dumps({**value, "source": "rss" * 20})}')
    return "{" + ", ".join(members) + "}"


def text_document(size: int, word: str) -> str:
    """A document that is one text."""
    return json.dumps({"text": long_text(size, word)})


_VALUES = {"content": long_text, "metadata": long_document, "text": text_document}


def plant(folder: Path, column: str, value: str) -> None:
    """Give one row the value."""
    name = "content" if column == "content" else "metadata"
    with closing(sqlite3.connect(folder / FILE)) as legacy, legacy:
        middle = legacy.execute(f"SELECT id FROM {TABLE} ORDER BY id LIMIT 1 OFFSET 100").fetchone()
        legacy.execute(f"UPDATE {TABLE} SET {name} = ? WHERE id = ?", (value, *middle))


def command(ground: Ground, name: str) -> dict[str, float]:
    """Seconds of the whole process; peak MB of its largest process, and of a server session."""
    wait_for_quiet()
    line = [sys.executable, "-S", "-c", _COUNTED, sys.executable, str(ROOT / "manage.py"), name]
    with Sessions(ground.server) as sessions:
        started = time.monotonic()
        done = subprocess.run(
            line, env=ground.environment, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - started
    if done.returncode != 0:
        raise SystemExit(f"{name} ended with {done.returncode}: {done.stderr.strip()}")
    peak = int(done.stdout.split()[-1]) / 1024
    print(f"{name}: {seconds:.1f} s, {peak:.0f} MB", file=sys.stderr, flush=True)
    return {
        "seconds": round(seconds, 2),
        "peak_mb": round(peak),
        "session_mb": round(sessions.peak),
    }


class Sessions:
    """Watches the memory that the server's own processes allocate."""

    def __init__(self, server: Server) -> None:
        self._parent = _postmaster(server)
        self.peak = 0.0
        self._ended = Event()
        self._watch = Thread(target=self._look, daemon=True)

    def __enter__(self) -> Sessions:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.wait(_PAUSE):
            for pid in _children(self._parent):
                self.peak = max(self.peak, _allocated_mb(pid))


def _postmaster(server: Server) -> int:
    """The parent of any session."""
    with server.connect() as admin:
        pid = admin.info.backend_pid
        status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("PPid:")[1].split()[0])


def _children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _allocated_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("RssAnon:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return 0.0


def report(figures: dict[str, dict[str, float]], megabytes: int, rows: int) -> None:
    """The figures as Markdown."""
    print(f"One value of {megabytes} MB beside {rows:,} usual rows, {os.cpu_count()} cores\n")
    print("| what | seconds | largest process MB | server session MB |")
    print("|---" * 4 + "|")
    for name, each in figures.items():
        print(f"| {name} | {each['seconds']:.2f} | {each['peak_mb']} | {each['session_mb']} |")


if __name__ == "__main__":
    main()
