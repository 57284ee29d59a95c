"""The help of every command of this project as one Markdown page, made from their own parsers.

Written from the parsers' parts and not from argparse's own layout, which differs between versions
of Python.
"""

from __future__ import annotations

from argparse import Action
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandParser

# Every Django command has these; they are described once.
COMMON = {
    "--help": "the help of the command",
    "-v, --verbosity": "0 to 3; these commands say the same at every level",
    "--settings": "another settings module",
    "--pythonpath": "another folder to import from",
    "--traceback": "the Python traceback below an error's sentence",
    "--no-color": "no colours; the environment variable `NO_COLOR` does the same",
    "--force-color": "Django's own lines in colour on a pipe too",
    "--skip-checks": "without Django's system checks",
}
HEAD = """# Commands

Made from the commands themselves by `manage.py document_commands`; do not edit. How they behave on
a terminal and on a pipe, and how the shell completes their names: [terminal.md](terminal.md).

| exit status | means |
|---|---|
| 0 | all accounted for and equal |
| 1 | differences or open questions, listed |
| 2 | could not run; one sentence says what to do |
"""


def own_commands() -> dict[str, BaseCommand]:
    """Name -> command, for every command that an app of this project brings."""
    ours = {config.name for config in apps.get_app_configs() if _is_ours(config.path)}
    return {
        name: load_command_class(app, name)
        for name, app in sorted(get_commands().items())
        if app in ours
    }


def _is_ours(path: str) -> bool:
    base = Path(settings.BASE_DIR).resolve()
    inside = Path(path).resolve()
    return inside.is_relative_to(base) and "site-packages" not in inside.parts


def command_page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, command in own_commands().items():
        parts.append("\n".join(_section(name, command.create_parser("manage.py", name), command)))
    parts.append("\n".join(_common()))
    return "\n".join(parts)


def _section(name: str, parser: CommandParser, command: BaseCommand) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    yield " ".join(command.help.split())
    yield ""
    examples = getattr(command, "examples", ())
    if examples:
        yield "```sh"
        yield from examples
        yield "```"
        yield ""
    rows = [_row(action) for action in parser._actions if not _is_common(action)]
    if rows:
        yield "| argument | does |"
        yield "|---|---|"
        yield from rows
        yield ""


def _common() -> Iterator[str]:
    yield "## Arguments that every command has"
    yield ""
    yield "| argument | does |"
    yield "|---|---|"
    for names, text in COMMON.items():
        yield f"| `{names}` | {text} |"
    yield ""


def _is_common(action: Action) -> bool:
    common = {"--version", *(name for names in COMMON for name in names.split(", "))}
    return bool(set(action.option_strings) & common)


def _row(action: Action) -> str:
    names = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    value = ""
    if action.choices is not None:
        value = " {" + ",".join(str(choice) for choice in action.choices) + "}"
    elif action.option_strings and action.nargs != 0:
        value = f" {action.metavar or action.dest.upper()}"
    text = " ".join((action.help or "").split()).replace("|", "\\|").replace("<", "&lt;")
    return f"| `{names}{value}` | {text} |"
