"""manage.py document_commands: docs/reference/commands.md, and parts of other pages."""

from __future__ import annotations

import sys
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from stillme.ops.documentation.command_page import command_page
from stillme.visible import fitting


class Command(BaseCommand):
    """Parse, one call, write, exit."""

    help = (
        "Write every command's help to docs/reference/commands.md, and the tables of other pages "
        "that are made from code. Needs no files and no server."
    )
    examples = ("manage.py document_commands", "manage.py document_commands --check")
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, and whether only to look."""
        parser.epilog = "Examples:\n" + "\n".join(f"  {example}" for example in self.examples)
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument(
            "--to",
            type=Path,
            metavar="FILE",
            help="This file in place of docs/reference/commands.md, and no other page.",
        )
        parser.add_argument(
            "--check", action="store_true", help="Write nothing, end 1 if a page is not up to date."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Ends with 1 when --check finds a page stale."""
        docs = Path(settings.BASE_DIR) / "docs"
        path = options["to"] or docs / "reference" / "commands.md"
        pages = {path: command_page()}
        if options["to"] is None:
            pages |= _made_pages(docs)
        stale = False
        for path, text in pages.items():
            try:
                stale |= self._write(path, text, look_only=options["check"])
            except OSError as error:
                sentence = f"{path} cannot be used: {error.strerror}."
                raise CommandError(sentence, returncode=2) from error
        if stale:
            sys.exit(1)

    def _write(self, path: Path, text: str, *, look_only: bool) -> bool:
        """Whether the page was stale and was left so."""
        current = path.read_text(encoding="utf-8") if path.exists() else None
        if look_only and current != text:
            self._say(f"{path} is stale: run `manage.py document_commands`.")
            return True
        if current != text:
            path.write_text(text, encoding="utf-8")
        self._say(f"{path} is up to date.")
        return False

    def _say(self, sentence: str) -> None:
        self.stdout.write(fitting(sentence, self.stdout))


def _made_pages(docs: Path) -> dict[Path, str]:
    if not apps.is_installed("stillme.transfer"):
        raise CommandError("Some pages tell of the engine: set STILLME_MIGRATION=on.", returncode=2)
    from stillme.ops.documentation.parts import made_pages

    try:
        return made_pages(docs)
    except (OSError, ValueError) as error:
        raise CommandError(f"The documentation cannot be made: {error}", returncode=2) from error
