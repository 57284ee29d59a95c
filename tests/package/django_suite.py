"""Django's own tests of a database, on its backend and on ours: `django_suite.py SOURCE [LABEL]`.

SOURCE is Django's unpacked source distribution, of the installed version; .ci/run downloads it.
The server is DATABASE_URL's, with a role that may make databases. Ours may fail where Django's
fails, and nowhere else; both must run and skip the same number. Without labels those that concern
a backend are run, half a minute; `django_suite.py SOURCE all` runs everything, on a server with
`max_locks_per_transaction = 1024`: with the default it drops no database of 900 tables ("out of
shared memory"). What a run says is in SOURCE/stock.log and SOURCE/ours.log while it runs, too.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TextIO

from stillme.postgresql.connecting.configuration import target_database

ROOT = Path(__file__).resolve().parent.parent.parent
ENGINES = {"stock": "django.db.backends.postgresql", "ours": "stillme.postgresql"}
LABELS = (
    *("backends", "schema", "introspection", "inspectdb", "indexes", "constraints"),
    *("transactions", "transaction_hooks", "bulk_create", "select_for_update", "delete_regress"),
    *("custom_columns", "dbshell", "distinct_on_fields", "nested_foreign_keys", "raw_query"),
)


def start(name: str, source: Path, labels: list[str]) -> subprocess.Popen[str]:
    """Begin a run in two databases of its own."""
    server = target_database(os.environ["DATABASE_URL"], embedded_directory=ROOT)
    known = {key: server.get(key) or "" for key in ("HOST", "PORT", "USER", "PASSWORD")}
    databases = {
        alias: {**known, "ENGINE": ENGINES[name], "NAME": f"django_{name}_{alias}"}
        for alias in ("default", "other")
    }
    # No pipe: the second run would wait at a full one while the first is read.
    with (source / f"{name}.log").open("w") as said:
        return _run(source, labels, databases, said)


def _run(
    source: Path, labels: list[str], databases: dict[str, dict[str, str]], said: TextIO
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "runtests.py", "--settings=tests.package.django_suite_settings"),
            *("--noinput", "--parallel=1", *labels),
        ],
        cwd=source / "tests",
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SUITE_DATABASES": json.dumps(databases),
        },
        stdout=said,
        stderr=subprocess.STDOUT,
        text=True,
    )


def outcome(name: str, source: Path, run: subprocess.Popen[str]) -> tuple[str, set[str]]:
    """How many tests ran and were skipped, and the names of those that failed."""
    run.wait()
    said = (source / f"{name}.log").read_text(errors="replace")
    ran = re.search(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED).*$", said, re.MULTILINE)
    if ran is None or ran[1] == "0":
        sys.exit(f"{said}\nNo tests were run on {ENGINES[name]}.")
    failed = set(re.findall(r"^(?:FAIL|ERROR|UNEXPECTED SUCCESS): (.+)$", said, re.MULTILINE))
    if bool(failed) != bool(run.returncode):
        sys.exit(f"{said}\nThe run on {ENGINES[name]} ended with status {run.returncode}.")
    skipped = re.search(r"skipped=(\d+)", ran[0])
    counted = f"{ran[1]} tests, {skipped[1] if skipped else 0} skipped"
    print(f"{ENGINES[name]}: {counted}, {len(failed)} failed")
    if name == "ours" and failed:
        print(said)
    return counted, failed


def main(source: Path, labels: list[str]) -> str | None:
    """What is wrong, if anything is."""
    chosen = [] if labels == ["all"] else labels or list(LABELS)
    runs = {name: start(name, source, chosen) for name in ENGINES}
    (stock, failing), (ours, failed) = (outcome(name, source, run) for name, run in runs.items())
    if more := sorted(failed - failing):
        return "Tests of Django's that fail on this project's backend only: " + ", ".join(more)
    return None if ours == stock else f"The runs differ: {stock} on Django's, {ours} on this one."


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
