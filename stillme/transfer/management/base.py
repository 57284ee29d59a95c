"""Base of the engine's commands: parse, one call, render, exit with the right status (law 8)."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from argparse import (
    RawDescriptionHelpFormatter,
    _StoreAction,
)
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import apsw
import psycopg
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)
from django.db import Error as DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from stillme.postgresql.connecting.explain import (
    explain_exhaustion,
    explain_operational_error,
    sqlstate,
)
from stillme.postgresql.connecting.silence import end_with_client
from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.management.options import GIVEN, Once, Option
from stillme.transfer.plumbing.interrupts import Interrupted, interruptible
from stillme.transfer.plumbing.scratch import clear_temporary
from stillme.transfer.postgresql.lock_watch import telling_waits
from stillme.transfer.project.models import require_complete
from stillme.transfer.project.target import no_postgresql
from stillme.transfer.records.required import require_records
from stillme.transfer.sqlite.reading.connect import TOO_WIDE
from stillme.visible import fitting_error, visible

COULD_NOT_RUN = 2
PIPE_WIDTH = 80

_NOT_UTF8 = (
    "PostgreSQL holds a text that is not UTF-8, so a page of it is damaged: `manage.py "
    "verify_migration` names a row of your tables that has one; delete that row and import again, "
    "or restore the database from a backup."
)
_STYLE = (
    "Django cannot read the times that PostgreSQL sends in the DateStyle {}: ALTER DATABASE ... "
    "(or ALTER ROLE ...) SET DateStyle TO ISO, then run the same command again."
)
_NO_TABLE = ("42P01", "3F000")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class _Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Django's order of options, and examples line by line."""


class VisibleConsole(Console):
    """Nothing that a file holds steers the terminal, and nothing in it is markup."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def print(self, *objects: Any, soft_wrap: bool | None = None, **options: Any) -> None:
        """Long lines break between words on a terminal; elsewhere whoever reads wraps them."""
        super().print(*objects, soft_wrap=soft_wrap and not self.is_terminal, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text on its way to the terminal, cells of tables included."""
        return super().render_str(visible(text), **options)


class TransferCommand(BaseCommand):
    """Foreseeable mistakes end in one sentence and status 2; `--traceback` shows the rest.

    Subclasses list their `options`, define `run(options) -> exit status` and may list `examples`
    for `--help`.
    """

    options: Sequence[Option] = ()
    examples: tuple[str, ...] = ()
    requires_system_checks: list[str] = []
    console: Console
    form = "text"

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Show the examples at the end of `--help`."""
        if self.examples:
            kwargs["epilog"] = "Examples:\n" + "\n".join(f"  {line}" for line in self.examples)
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.formatter_class = _Formatter
        for action in parser._actions:
            if type(action) is _StoreAction and action.option_strings:
                action.__class__ = Once
        return parser

    @property
    def quiet(self) -> bool:
        """Whether standard output is for one document, and nothing else."""
        return self.form != "text"

    def selection(self, options: dict[str, Any]) -> Selection:
        """What --file and --table name."""
        return Selection(tuple(options["file"] or ()), tuple(options.get("table") or ()))

    def add_arguments(self, parser: CommandParser) -> None:
        """Those of `options`."""
        for add in self.options:
            add(parser)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """On a terminal, a sign of life and the time for a call that cannot say how far it is."""
        if self.quiet or not self.console.is_terminal:
            yield
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as shown:
            shown.add_task(what, total=None)
            yield

    def check_positive(self, options: dict[str, Any], name: str) -> None:
        """Raises TransferError unless the option is 1 or more."""
        if options[name] < 1:
            flag = "--" + name.replace("_", "-")
            raise TransferError(f"{flag} must be 1 or more, not {options[name]}.")

    def confirm(self, question: str, word: str, otherwise: str) -> None:
        """Raises TransferError, which begins with `otherwise`, unless a person types the word."""
        if self.quiet:
            raise TransferError(f"{otherwise}: --format json does not ask, give --yes.")
        try:
            given = input(question)
        except EOFError:
            given = ""
        if given.strip() != word:
            raise TransferError(f"{otherwise}: {word!r} was not typed (or give --yes).")

    @property
    def _name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def _say_wait(self, sentence: str) -> None:
        if self.quiet:
            self.stderr.write(visible(sentence))
        else:
            self.console.print(sentence, soft_wrap=True)

    def run(self, options: dict[str, Any]) -> int:
        """Do the work; the return value is the exit status."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, and turn foreseeable errors into sentences."""
        options.pop(GIVEN, None)
        self.form = options.get("format", "text")
        # Django ends each piece that is written with a line break, frames of a bar among them.
        self.stdout.ending = ""
        self.console = VisibleConsole(
            file=self.stdout,
            no_color=options.get("no_color") or None,
            force_terminal=None if self.stdout.isatty() else False,
            width=None if self.stdout.isatty() else PIPE_WIDTH,
        )
        connection_created.connect(end_with_client)
        connection_created.connect(_refuse_style)
        try:
            with interruptible(), telling_waits(f"manage.py {self._name}", self._say_wait):
                clear_temporary()
                require_complete()
                status = self.run(options)
        except KeyboardInterrupt as error:
            by = f" by {error.signal}" if isinstance(error, Interrupted) else ""
            sentence = f"Interrupted{by}; what was committed stays: run the same command to go on."
            raise _could_not_run(sentence) from error
        except TransferError as error:
            raise _could_not_run(str(error)) from error
        except (sqlite3.Error, apsw.Error) as error:
            # A page that no earlier step had to read.
            sentence = explain_exhaustion(error) or _explain_legacy_error(error)
            raise _could_not_run(sentence) from error
        except (DatabaseError, psycopg.Error) as error:
            raise _could_not_run(_explain_database_error(error)) from error
        except UnicodeDecodeError as error:
            # Files are read as bytes: it is the driver's word about a text of a damaged page.
            raise _could_not_run(_NOT_UTF8) from error
        except BrokenPipeError:
            # Whoever read the output went away (`| head`): there is nobody to tell.
            # Python must not complain about the closed pipe once more at its end.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = COULD_NOT_RUN
        except OSError as error:
            sentence = explain_exhaustion(error) or _explain_os_error(error)
            raise _could_not_run(sentence) from error
        except (MemoryError, RuntimeError, ImportError) as error:
            sentence = explain_exhaustion(error)
            if not sentence:
                raise
            raise _could_not_run(sentence) from error
        if status:
            self.stdout.flush()
            sys.exit(status)


def _refuse_style(sender: Any, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Raises TransferError. The project's own backend sets the style, Django's does not."""
    if isinstance(connection.connection, psycopg.Connection):
        style = connection.connection.info.parameter_status("DateStyle") or "ISO"
        if not style.startswith("ISO"):
            raise TransferError(_STYLE.format(style))


def _could_not_run(sentence: str) -> CommandError:
    said = fitting_error(sentence, CommandError.__name__)
    return CommandError(said, returncode=COULD_NOT_RUN)


def _explain_legacy_error(error: Exception) -> str:
    if "too many columns" in str(error):
        return f"A legacy file {TOO_WIDE}."
    return (
        f"A legacy file cannot be read to the end ({error}): `manage.py backup_sqlite` tells which "
        "one, and what can still be read."
    )


def _explain_database_error(error: BaseException) -> str:
    if said := no_postgresql():
        return f"{said}."
    if sqlstate(error) in _NO_TABLE:
        try:
            require_records("default")
        except TransferError as missing:
            return str(missing)
        except DatabaseError as later:
            error = later
    return explain_operational_error(error)


def _explain_os_error(error: OSError) -> str:
    """What the operating system refused, and what to do about it."""
    where = f" ({error.filename})" if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno in _NO_ROOM or "usable temporary directory" in reason:
        return (
            f"There is no room to write{where}: {reason}; free some space, or set TMPDIR to a "
            "folder that has it, then run the same command again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"The system refuses access{where}: {reason}; run as the owner or grant access."
    return f"The system says{where}: {reason}; mend that, then run the same command again."
