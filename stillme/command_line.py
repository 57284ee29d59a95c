"""Running a command: a foreseeable failure is one sentence and exit status 2, no traceback."""

from __future__ import annotations

import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db.utils import InterfaceError, OperationalError, ProgrammingError

from stillme.postgresql.explain import STATES, explain_operational_error, sqlstate

COULD_NOT_RUN = 2


def run(arguments: list[str]) -> None:
    """Run the command named in `arguments`; `--traceback` shows what lies below a sentence."""
    try:
        execute_from_command_line(arguments)
    except (OperationalError, InterfaceError, ProgrammingError) as error:
        foreseen = not isinstance(error, ProgrammingError) or sqlstate(error) in STATES
        if "--traceback" in arguments or not foreseen:
            raise
        _fail(explain_operational_error(error))
    except ImproperlyConfigured as error:
        if "--traceback" in arguments:
            raise
        _fail(str(error))


def _fail(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.exit(COULD_NOT_RUN)
