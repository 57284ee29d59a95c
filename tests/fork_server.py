"""`python manage.py ...` in a third of its start: a fork of a process that has imported Django.

Two thirds of a command's start are imports that no setting and no environment decides. The server
(multiprocessing's) has made them and nothing else: no settings, no module of this project. Its
forks get the environment, the folder, the arguments and the streams that a new process would get.
What depends on how Python itself starts (its options, its encoding) wants a process of its own.

`run_prepared` saves the last third too, for a story of many commands of one project: its commands
are forks of a process that has also read the project's settings and loaded its apps, once.
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
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import django
from django.core.management import get_commands, load_command_class

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
MOST_PREPARED = 4
_servers: list[ForkServerContext] = []
_prepared: dict[object, Prepared] = {}


def run_python(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """`subprocess.run([sys.executable, *command], ...)` with nothing to read, and what it said.

    The command is a script with its arguments, `-c` with code, or `-m` with a module's name.
    """
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _server().Process(target=_run, args=(list(command), cwd, dict(env), said))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(command), timeout)
        return _ended_as(command, process.exitcode, said)


def run_prepared(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """`run_python` for a project that folder and environment decide; it has to be Django's."""
    env = {name: value for name, value in env.items() if name != "PYTEST_CURRENT_TEST"}
    code = max(path.stat().st_mtime_ns for path in cwd.rglob("*.py"))
    project = (cwd, code, tuple(sorted(env.items())))
    if project not in _prepared:
        while len(_prepared) >= MOST_PREPARED:
            _prepared.pop(next(iter(_prepared))).end()
        _prepared[project] = Prepared(cwd, env)
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, name) for name in ("stdout", "stderr")]
        status = _prepared[project].run(list(command), said, timeout)
        if status is None:
            return run_python(command, cwd, env, timeout)
        return _ended_as(command, status, said)


class Prepared:
    """A process that has loaded a project, and runs commands in forks of its own."""

    def __init__(self, cwd: Path, env: dict[str, str]) -> None:
        self.asked, theirs = multiprocessing.Pipe()
        self.owner = os.getpid()
        self.process = _server().Process(target=_prepare, args=(theirs, cwd, env))
        self.process.start()
        theirs.close()

    def run(self, command: list[str], said: list[Path], timeout: float) -> int | None:
        """The exit status of the command, or None: the project does not load."""
        self.asked.send((command, said))
        if not self.asked.poll(timeout):
            self.process.kill()
            raise subprocess.TimeoutExpired(command, timeout)
        status: int | None = self.asked.recv()
        return status

    def end(self) -> None:
        """It ends when nobody can ask it any more."""
        self.asked.close()
        if self.owner == os.getpid():
            self.process.join()


@atexit.register
def _end_all() -> None:
    """Before multiprocessing waits for its processes at the end of this one."""
    for prepared in _prepared.values():
        prepared.end()
    _prepared.clear()


def _server() -> ForkServerContext:
    if not _servers:
        _servers.append(multiprocessing.get_context("forkserver"))
        _servers[0].set_forkserver_preload(IMPORTED)
    return _servers[0]


def _ended_as(
    command: Sequence[str], status: int, said: list[Path]
) -> subprocess.CompletedProcess[str]:
    texts = [path.read_text() if path.exists() else "" for path in said]
    return subprocess.CompletedProcess(list(command), status, *texts)


def _prepare(asked: Connection, cwd: Path, env: dict[str, str]) -> None:
    """In a process of its own: load the project, then a fork for each command that is asked for."""
    _become(cwd, env)
    sys.path[:0] = [str(cwd), *_python_path(env)]
    loads = True
    try:
        django.setup()
    except Exception:  # noqa: BLE001
        # Its commands say it, each in a process that starts from nothing.
        loads = False
    with suppress(EOFError):
        for number in count(1):
            command, said = asked.recv()
            if loads and number == 2:
                # More are to come: what they import is imported once.
                _load_commands()
            asked.send(_fork(command, said, asked) if loads else None)


def _load_commands() -> None:
    for name, app in get_commands().items():
        if app.startswith("stillme."):
            load_command_class(app, name)


def _fork(command: list[str], said: list[Path], asked: Connection) -> int:
    process = os.fork()
    if not process:
        asked.close()
        _speak_to(said)
        _leave(_ended(command, []))
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _run(command: list[str], cwd: Path, env: dict[str, str], said: list[Path]) -> None:
    """In the fork: become that process, and end as it would."""
    _become(cwd, env)
    _speak_to(said)
    _leave(_ended(command, _python_path(env)))


def _become(cwd: Path, env: dict[str, str]) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in env


def _python_path(env: dict[str, str]) -> list[str]:
    return list(filter(None, env.get("PYTHONPATH", "").split(os.pathsep)))


def _speak_to(said: list[Path]) -> None:
    for number, path in enumerate(said, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _leave(status: int) -> None:
    """End as a process of its own does, without what multiprocessing does at an end."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)


def _ended(command: list[str], path: list[str]) -> int:
    """Run the command; its exit status."""
    kind, *rest = command
    where = str(Path(kind).resolve().parent) if kind not in ("-c", "-m") else str(Path.cwd())
    sys.path[:0] = [where, *path]
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
