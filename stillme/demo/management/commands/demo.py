"""manage.py demo: the whole story on sample files that it makes itself."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from stillme.demo.story import tell
from stillme.transfer.management.base import TransferCommand


class Command(TransferCommand):
    """Parse, one call, exit."""

    help = (
        "Make sample legacy files, import them, verify them, plant a corruption, show that it is "
        "found, mend it, and say how to look at the rows in the admin."
    )
    examples = ("manage.py demo", "manage.py demo --rows 5000")

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        parser.add_argument(
            "--rows", type=int, default=300, metavar="N", help="Rows per table (default 300)."
        )
        parser.add_argument("--seed", type=int, default=7, help="Same seed, same rows (default 7).")

    def run(self, options: dict[str, Any]) -> int:
        """0 when the story ends as told."""
        self.check_positive(options, "rows")
        return tell(self.console, rows=options["rows"], seed=options["seed"])
