"""The options of a command, declared as data."""

from __future__ import annotations

from argparse import (
    ArgumentError,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    _StoreAction,
)
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from stillme.transfer.conf import conf
from stillme.visible import is_utf_8, visible

# Among the parsed options: those that were given, as each may be given once.
GIVEN = "options_given"
# For examples: the name of one of the project's own files.
A_FILE = next(iter(conf().files), "NAME")


class Once(_StoreAction):
    """An option with one value: the second time it is a mistake, not the one that counts."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Note the value."""
        given = namespace.__dict__.setdefault(GIVEN, set())
        if self.dest in given:
            raise ArgumentError(self, "given twice: which one counts?")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def given_path(text: str) -> Path:
    """The path that an option names, for `type=`; `~` is the user's home."""
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ArgumentTypeError("the home directory is not known: write the path out") from error
    if not text.strip():
        raise ArgumentTypeError("the path is empty: name one, or leave the option out")
    if not is_utf_8(path):
        raise ArgumentTypeError(f"{visible(text)} is not UTF-8: name another path")
    return path


# Adds an argument, or a group of them, to a parser.
Option = Callable[[Any], Any]


def option(*names: str, **settings: Any) -> Option:
    """An argument; one of which nothing but its help is said is a flag."""
    flag = {"action": "store_true"} if set(settings) == {"help"} else {}
    return lambda parser: parser.add_argument(*names, **settings, **flag)


def one_of(*options: Option, required: bool = False) -> Option:
    """Options of which one at most may be given."""

    def add_to(parser: CommandParser) -> None:
        group = parser.add_mutually_exclusive_group(required=required)
        for add in options:
            add(group)

    return add_to


FILE = option(
    "--file", action="append", metavar="NAME", help=f"Only this legacy file, e.g. {A_FILE}."
)
SELECTION = (
    FILE,
    option(
        "--table",
        action="append",
        metavar="NAME",
        help="Only this legacy table, in every file that has one, or FILE.NAME.",
    ),
)
FORMAT = option(
    "--format",
    choices=("text", "json"),
    default="text",
    help="json: one document on standard output, no progress (default text).",
)
