"""What the embedded server's settings for a bulk load are worth, beside PostgreSQL's own.

    python benchmarks/server_settings.py --rows 1000000

One file of `knowledge_items`, imported into two fresh clusters: one with the settings that the
embedded server chooses (`stillme/postgresql/embedded/tuning.py`), one with PostgreSQL's defaults.
Counted by the server: checkpoints that the log asked for, megabytes of log, whole pages in it, and
buffers that sessions had to write themselves. Seconds by the clock.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

from benchmarks.contest.process import run, wait_for_quiet  # noqa: E402

DEFAULTS = {
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
    "checkpoint_timeout": "5min",
}
COUNTED = """
SELECT (SELECT num_requested FROM pg_stat_checkpointer), round(wal_bytes / 1000000), wal_fpi,
  (SELECT sum(writes) FROM pg_stat_io WHERE backend_type = 'client backend' AND object = 'relation')
FROM pg_stat_wal
"""
SESSION = """
import sys, psycopg
from pathlib import Path
from stillme.postgresql.embedded.server import ensure_server
host = ensure_server(Path(sys.argv[1]), "stillme")
with psycopg.connect(host=str(host), user="postgres", dbname="stillme", autocommit=True) as session:
    for statement in sys.argv[2:]:
        found = session.execute(statement)
    if found.description:
        print(*found.fetchone())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    import django

    django.setup()
    from stillme.demo.samples import make_bulk

    print("| settings | import s | checkpoints | log MB | whole pages | written by sessions |")
    print("|---" * 6 + "|")
    with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "legacy").mkdir()
        make_bulk(folder / "legacy", "knowledge_items", arguments.rows)
        for name, settings in (("PostgreSQL's", DEFAULTS), ("embedded", {})):
            print(f"| {name} | {' | '.join(measure(folder, name[:4], settings))} |", flush=True)


def measure(folder: Path, name: str, settings: dict[str, str]) -> list[str]:
    """Seconds of the import, and what the server counted."""
    cluster = folder / name.strip("'")
    environment = {
        **os.environ,
        "DATABASE_URL": "",
        "EMBEDDED_POSTGRES_DIR": str(cluster),
        "LEGACY_DATA_DIR": str(folder / "legacy"),
        "PYTHONPATH": str(ROOT),
    }

    def command(*line: str) -> tuple[float, str]:
        ended = run([sys.executable, *line], environment)
        if ended.status != 0:
            raise SystemExit(f"{line[:2]}: {ended.errors or ended.output[-2000:]}")
        return ended.seconds, ended.output

    told = [f"ALTER SYSTEM SET {key} = '{value}'" for key, value in settings.items()]
    command("-c", SESSION, str(cluster), *(told or ["SELECT 1"]))
    wait_for_quiet()  # the server has stopped: its last user is gone
    manage = str(ROOT / "manage.py")
    command(manage, "migrate", "--verbosity", "0")
    keeper = psycopg_keeper(cluster)
    try:
        command("-c", SESSION, str(cluster), "CHECKPOINT", "SELECT pg_stat_reset_shared()")
        wait_for_quiet()
        seconds, _ = command(manage, "import_sqlite", "--format", "json")
        _, counted = command("-c", SESSION, str(cluster), COUNTED)
    finally:
        keeper.close()
    return [f"{seconds:.1f}", *counted.split()]


def psycopg_keeper(cluster: Path) -> psycopg.Connection[object]:
    """A session that keeps the server running from one command to the next."""
    from stillme.postgresql.embedded.server import ensure_server

    host = ensure_server(cluster, "stillme")
    return psycopg.connect(host=str(host), user="postgres", dbname="stillme")


if __name__ == "__main__":
    main()
