"""`python manage.py ...` in a third of its start: a fork of a process that has imported Django.

Two thirds of a command's start are imports that no setting and no environment decides. The server
(multiprocessing's) has made them and nothing else: no settings, no module of this project. Its
forks get the environment, the folder, the arguments and the streams that a new process would get.
What depends on how Python itself starts (its options, its encoding) wants a process of its own.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

IMPORTED = [
    "apsw",
    "concurrent.futures.process",
    "django.contrib.admin.options",
    "django.core.checks",
    "django.core.management.commands.check",
    "django.core.serializers.json",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.executor",
    "django.template.backends.django",
    "django.views.generic",
    "environ",
    "numpy",
    "orjson",
    "psycopg_pool",
    "rich.progress",
    "rich.table",
    "runpy",
]
_servers: list[ForkServerContext] = []


def run_python(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """`subprocess.run([sys.executable, *command], ...)` with nothing to read, and what it said.

    The command is a script with its arguments, `-c` with code, or `-m` with a module's name.
    """
    if not _servers:
        _servers.append(multiprocessing.get_context("forkserver"))
        _servers[0].set_forkserver_preload(IMPORTED)
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _servers[0].Process(target=_run, args=(list(command), cwd, dict(env), said))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(command), timeout)
        texts = [path.read_text() if path.exists() else "" for path in said]
    return subprocess.CompletedProcess(list(command), process.exitcode, *texts)


def _run(command: list[str], cwd: Path, env: dict[str, str], said: list[Path]) -> None:
    """In the fork: become that process, and end as it would."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in env
    for number, path in enumerate(said, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    status = _ended(command, env)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)


def _ended(command: list[str], env: dict[str, str]) -> int:
    """Run the command; its exit status."""
    kind, *rest = command
    where = str(Path(kind).resolve().parent) if kind not in ("-c", "-m") else str(Path.cwd())
    sys.path[:0] = [where, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    try:
        if kind == "-c":
            sys.argv = ["-c", *rest[1:]]
            exec(rest[0], {"__name__": "__main__"})
        elif kind == "-m":
            sys.argv = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [kind, *rest]
            runpy.run_path(kind, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        return 1
    return 0
