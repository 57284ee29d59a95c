"""How fast each kind of Django's fields is loaded and judged, against the server's own COPY.

    python benchmarks/kinds_speed.py --rows 300000 --repeat 3 --kind uuid --kind decimal

For each kind it makes a file with a table of a key and four columns of that kind, in the shapes
that Django writes, imports it, judges it, and lets the server copy the same rows from a file into
an equal table. Prints a Markdown table of the medians.

Seconds are those of the processor, so that a busy machine gives the same figures as an idle one:
the loader and the server work at the same time, and the slower of the two decides.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
COLUMNS = ("a", "b", "c", "d")
TARGET, LIMIT = "accuracy.kinds_speed", "public.limit_of_copy"


def stamp(rng: random.Random) -> str:
    day = f"20{rng.randrange(10, 26)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
    return f"{day} {clock(rng)}"


def clock(rng: random.Random) -> str:
    hour, minute, second = rng.randrange(24), rng.randrange(60), rng.randrange(60)
    return f"{hour:02d}:{minute:02d}:{second:02d}.{rng.randrange(1, 10**6):06d}"


# Name -> declared type in the file, a value.
MADE: dict[str, tuple[str, Callable[[random.Random], Any]]] = {
    "boolean": ("bool", lambda rng: rng.randrange(2)),
    "decimal": ("decimal", lambda rng: f"{rng.randrange(10**8)}.{rng.randrange(100):02d}"),
    "moment": ("datetime", stamp),
    "moment in Berlin": ("datetime", stamp),
    "day": ("date", lambda rng: stamp(rng)[:10]),
    "time of day": ("time", clock),
    "duration": ("bigint", lambda rng: rng.randrange(-(10**9), 10**13)),
    "uuid": ("char(32)", lambda rng: f"{rng.getrandbits(128):032x}"),
    "address": ("char(39)", lambda rng: ".".join(str(rng.randrange(256)) for _ in range(4))),
    "IPv6 address": ("char(39)", lambda rng: f"2001:db8::{rng.randrange(1, 65536):x}"),
    "bytes": ("BLOB", lambda rng: rng.randbytes(32)),
    "short text": ("varchar(40)", lambda rng: f"a slug of {rng.randrange(10**9)}"),
    "integer": ("bigint", lambda rng: rng.randrange(10**12)),
    "document": ("text", lambda rng: f'{{"a": {rng.randrange(10**6)}, "b": [true, null]}}'),
}


def main() -> None:
    """Measure the kinds that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--kind", action="append", choices=MADE)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillme-bench-", dir="/var/tmp") as name:
        Path(name).chmod(0o777)
        os.environ["LEGACY_DATA_DIR"] = name
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        print("| kind | loader s | server s | COPY s | of COPY | judge s | judge's server s |")
        print("|---|---|---|---|---|---|---|")
        for kind in arguments.kind or MADE:
            taken = [measure(Path(name), kind, arguments.rows) for _ in range(arguments.repeat)]
            figures = [statistics.median(each) for each in zip(*taken, strict=True)]
            loader, server, copy, *judge = figures
            shown = [loader, server, copy, copy / max(loader, server), *judge]
            print(f"| {kind} | {' | '.join(f'{figure:.2f}' for figure in shown)} |", flush=True)


def measure(folder: Path, name: str, rows: int) -> tuple[float, ...]:
    """Seconds of loader, its server, the server's own COPY, judge, and the judge's server."""
    from django.db import connection

    from stillme.transfer import registry
    from stillme.transfer.inventory.selection import Selection
    from stillme.transfer.steps.load import ImportOptions, import_files
    from stillme.transfer.verify.verification import VerifyOptions, verify

    make_file(folder / "accuracy_scores.db", name, rows)
    legacy, target = models_of(name)
    registry.legacy_apps = legacy
    run(f"DROP TABLE IF EXISTS {TARGET}")
    run(
        "DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || "
        "string_agg(format('transfer.%I', tablename), ', ') "
        "FROM pg_tables WHERE schemaname = 'transfer'); END $$"
    )
    with connection.schema_editor() as editor:
        editor.create_model(target)
    ours = Selection(files=("accuracy",))
    options = ImportOptions(selection=ours, jobs=1, overwrite=True)
    loaded, _ = timed(lambda: import_files(options))
    judged, proof = timed(lambda: verify(VerifyOptions(selection=ours, jobs=1)))
    assert not proof.findings.total
    alone = sum(table.by_cell for table in proof.tables)
    assert alone < rows / 50, f"{alone} rows are not usual"
    copied = copy_seconds(folder / "rows.txt")
    run(f"DROP TABLE {TARGET}")
    return *loaded, copied, *judged


def make_file(path: Path, name: str, rows: int) -> None:
    """The file, with the values that Django would have written."""
    declared, value = MADE[name]
    rng = random.Random(name)
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db:
        parts = ", ".join(f"{column} {declared} NOT NULL" for column in COLUMNS)
        db.execute(f"CREATE TABLE kinds_speed (id integer NOT NULL PRIMARY KEY, {parts})")
        made = ([value(rng) for _ in COLUMNS] for _ in range(rows))
        db.executemany("INSERT INTO kinds_speed (a, b, c, d) VALUES (?, ?, ?, ?)", made)
        db.commit()


def models_of(name: str) -> tuple[Any, Any]:
    """The registry with the legacy model of that kind, and the target model."""
    from django.apps.registry import Apps
    from django.db import models

    from stillme.transfer import kinds
    from stillme.transfer.legacy import Column, LegacyModel

    pairs: dict[str, tuple[Any, Callable[[], Any]]] = {
        "boolean": (kinds.Boolean(), models.BooleanField),
        "decimal": (
            kinds.Decimal(10, 2),
            lambda: models.DecimalField(max_digits=10, decimal_places=2),
        ),
        "moment": (kinds.Moment(), models.DateTimeField),
        "moment in Berlin": (kinds.Moment(zone="Europe/Berlin"), models.DateTimeField),
        "day": (kinds.Day(), models.DateField),
        "time of day": (kinds.TimeOfDay(), models.TimeField),
        "duration": (kinds.Duration(), models.DurationField),
        "uuid": (kinds.Uuid(), models.UUIDField),
        "address": (kinds.Address(), models.GenericIPAddressField),
        "IPv6 address": (kinds.Address(), models.GenericIPAddressField),
        "bytes": (kinds.Binary(), models.BinaryField),
        "short text": (kinds.Text(max_length=40), lambda: models.CharField(max_length=40)),
        "integer": (kinds.Integer(-(2**63), 2**63 - 1), models.BigIntegerField),
        "document": (kinds.Json(), models.JSONField),
    }
    kind, field = pairs[name]
    legacy, target = Apps([]), Apps([])
    meta = {"app_label": "accuracy"}
    here = type("Meta", (), {**meta, "apps": target, "db_table": '"accuracy"."kinds_speed"'})
    fields = {column: field() for column in COLUMNS}
    model = type("Measured", (models.Model,), {"__module__": __name__, "Meta": here, **fields})
    there = type("Meta", (LegacyModel.Meta,), {**meta, "apps": legacy, "db_table": "kinds_speed"})
    declared = MADE[name][0]
    columns: dict[str, Any] = {
        "id": Column(kinds.Key(), "integer NOT NULL PRIMARY KEY"),
        **{column: Column(kind, f"{declared} NOT NULL") for column in COLUMNS},
    }
    what = type("Legacy", (), {"file": "accuracy", "target": "accuracy.Measured"})
    body = {"__module__": __name__, "Meta": there, "Legacy": what, **columns}
    body["target_model"] = classmethod(lambda cls: model)
    type("LegacyMeasured", (LegacyModel,), body)
    return legacy, model


def copy_seconds(path: Path) -> float:
    """Seconds of COPY FROM of the same rows, with the primary key."""
    run(f"COPY (SELECT * FROM {TARGET} ORDER BY id) TO '{path}'")
    run(f"DROP TABLE IF EXISTS {LIMIT}")
    run(f"CREATE TABLE {LIMIT} (LIKE {TARGET})")
    run(f"ALTER TABLE {LIMIT} ADD PRIMARY KEY (id)")
    run("CHECKPOINT")
    (_, seconds), _ = timed(lambda: run(f"COPY {LIMIT} FROM '{path}'"))
    run(f"DROP TABLE {LIMIT}")
    # rm reads nothing, and a busy machine tells the server so before it has written.
    run(f"COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; rm -f {path}'")
    return seconds


def run(sql: str) -> None:
    """A statement on the target."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql)


def timed(what: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Processor seconds of this program, its children included, and of the server; the result."""
    run("CHECKPOINT")
    before, server_before = sum(os.times()[:4]), server_seconds()
    result = what()
    return (sum(os.times()[:4]) - before, server_seconds() - server_before), result


def server_seconds() -> float:
    """Processor seconds of the postmaster, of its processes, and of those that have ended."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        postmaster = stat_of(cursor.fetchone()[0])[1]
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                pid, parent, *times = stat_of(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            ticks += sum(times) if pid == postmaster else 0
            ticks += sum(times[:2]) if parent == postmaster else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def stat_of(pid: int) -> tuple[int, ...]:
    """Process id, that of its parent, and the ticks utime, stime, cutime, cstime."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return pid, int(fields[1]), *map(int, fields[11:15])


if __name__ == "__main__":
    main()
