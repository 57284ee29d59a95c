"""A command of `manage.py` in a fork of the test process: Python takes a second to start.

The fork has the settings of the test (its legacy files, its database), the given environment, the
given streams, and ends as a process of its own would. How `manage.py` itself starts is tested
where it is called as a program (`tests/settings`, `tests/terminal/test_help_pages.py`).
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping

from stillme.command_line import run
from stillme.postgresql.forks import forget_sessions


def start_command(
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    streams: tuple[int, int, int],
    prepare: Callable[[], None] = lambda: None,
) -> int:
    """Start the command with these standard streams; the process id, to be waited for.

    `prepare` is called in the new process when the streams are in place.
    """
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for stream in {*streams} - {0, 1, 2}:
            os.close(stream)
        prepare()
        status = _run(arguments, environment)
    finally:
        if sys.exc_info()[1] is not None:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)


def wait_for(process: int) -> int:
    """The exit status of the command, negative where a signal ended it, as `Popen` says it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _run(arguments: tuple[str, ...], environment: Mapping[str, str]) -> int:
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["manage.py", *arguments]
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", closefd=False)
    forget_sessions()
    try:
        run(sys.argv)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
