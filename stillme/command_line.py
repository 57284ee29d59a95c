"""Running a command: a foreseeable failure is one sentence and exit status 2, no traceback."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import textwrap

from django.core.exceptions import ImproperlyConfigured
from django.core.management import ManagementUtility, get_commands
from django.db.migrations.exceptions import MigrationSchemaMissing
from django.db.utils import DatabaseError, InterfaceError, OperationalError

from stillme.postgresql.connecting.explain import (
    STATES,
    explain_exhaustion,
    explain_operational_error,
    sqlstate,
)

COULD_NOT_RUN = 2
_EXPLAINED = (
    KeyboardInterrupt,
    DatabaseError,
    InterfaceError,
    ImproperlyConfigured,
    MemoryError,
    RuntimeError,
    ImportError,
    OSError,
)


class _Commands(ManagementUtility):
    """Django's, whose help begins with the commands that this project is about."""

    def main_help_text(self, commands_only: bool = False) -> str:
        """The text of `manage.py help`; with `commands_only` the names, for shells."""
        if commands_only:
            return super().main_help_text(commands_only)
        from stillme.ops.documentation.command_page import own_commands

        lines = []
        for name, command in own_commands().items():
            sentence = " ".join(command.help.split()).split(". ")[0].rstrip(".")
            lines.append(f"    {name:<20} {textwrap.shorten(sentence, 54, placeholder=' ...')}")
        return "\n".join(["[this project]", *lines, "", super().main_help_text()])


def run(arguments: list[str]) -> None:
    """Run the command named in `arguments`; `--traceback` shows what lies below a sentence."""
    _spare_the_collector()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that speaks ASCII only, and a file's name that is not UTF-8, stop no command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("NO_COLOR"):
        # Django has a variable of its own for its error lines and help pages.
        os.environ.setdefault("DJANGO_COLORS", "nocolor")
    try:
        _Commands(arguments).execute()
    except SystemExit as ended:
        # Django ends with 1 where there is no such command; 1 means differences here.
        if ended.code == 1 and _is_unknown(arguments):
            sys.exit(COULD_NOT_RUN)
        raise
    except _EXPLAINED as error:
        sentence = _explain(error)
        if "--traceback" in arguments or not sentence:
            raise
        _fail(sentence)


def _explain(error: BaseException) -> str:
    """What happened and what to do; empty for what nobody foresaw."""
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted; run the same command to go on."
    if isinstance(error, DatabaseError | InterfaceError):
        return explain_operational_error(error) if _is_foreseen(error) else ""
    if isinstance(error, ImproperlyConfigured):
        return str(error)
    return explain_exhaustion(error)


def _spare_the_collector() -> None:
    """Look for circles seldom, and not once more at the end.

    Loading Django makes some hundred thousand objects that live as long as the process. Looking
    through them over and over, and taking them apart at the end, took a tenth of a second, when
    the system takes the memory back anyway.
    """
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)


def _is_unknown(arguments: list[str]) -> bool:
    name = arguments[1] if len(arguments) > 1 else "help"
    return not name.startswith("-") and name != "help" and name not in get_commands()


def _is_foreseen(error: Exception) -> bool:
    connection_failed = (OperationalError, InterfaceError, MigrationSchemaMissing)
    return isinstance(error, connection_failed) or sqlstate(error) in STATES


def _fail(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.exit(COULD_NOT_RUN)
