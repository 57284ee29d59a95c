"""manage.py document_commands: docs/reference/commands.md, made from the commands themselves."""

from __future__ import annotations

import sys
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from stillme.ops.command_pages import command_page
from stillme.visible import fitting


class Command(BaseCommand):
    """Parse, one call, write, exit."""

    help = "Write every command's help to docs/reference/commands.md. Needs no files and no server."
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
            help="A file in place of docs/reference/commands.md.",
        )
        parser.add_argument(
            "--check", action="store_true", help="Write nothing, end 1 if it is not up to date."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Ends with 1 when --check finds the page stale."""
        path = options["to"] or Path(settings.BASE_DIR) / "docs" / "reference" / "commands.md"
        text = command_page()
        try:
            current = path.read_text(encoding="utf-8") if path.exists() else None
            if options["check"] and current != text:
                self._say(f"{path} is stale: run `manage.py document_commands`.")
                sys.exit(1)
            if current != text:
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            sentence = f"{path} cannot be used: {error.strerror}."
            raise CommandError(sentence, returncode=2) from error
        self._say(f"{path} is up to date.")

    def _say(self, sentence: str) -> None:
        self.stdout.write(fitting(sentence, self.stdout))
