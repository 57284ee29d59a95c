"""manage.py document_commands: docs/reference/commands.md, made from the commands themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from stillme.ops.command_pages import command_page
from stillme.transfer.errors import TransferError
from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import given_path


class Command(TransferCommand):
    """Parse, one call, write, exit."""

    help = "Write every command's help to docs/reference/commands.md. Needs no files and no server."
    examples = ("manage.py document_commands", "manage.py document_commands --check")

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, and whether only to look."""
        parser.add_argument(
            "--to",
            type=given_path,
            metavar="FILE",
            help="A file in place of docs/reference/commands.md.",
        )
        parser.add_argument(
            "--check", action="store_true", help="Write nothing, end 1 if it is not up to date."
        )

    def run(self, options: dict[str, Any]) -> int:
        """0 when the page is up to date, 1 when --check finds it stale."""
        path = options["to"] or Path(settings.BASE_DIR) / "docs" / "reference" / "commands.md"
        text = command_page()
        try:
            current = path.read_text(encoding="utf-8") if path.exists() else None
            if options["check"] and current != text:
                self.console.print(
                    f"{path} is stale: run `manage.py document_commands`.", soft_wrap=True
                )
                return 1
            if current != text:
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise TransferError(f"{path} cannot be used: {error.strerror}.") from error
        self.console.print(f"{path} is up to date.", soft_wrap=True)
        return 0
