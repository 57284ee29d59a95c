"""manage.py migration_status: where each legacy file stands."""

from __future__ import annotations

from typing import Any

from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import FORMAT
from stillme.transfer.reports.terminal.switching import render_status
from stillme.transfer.steps.status import overview


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = "State, rows, lag, quarantine and last proof of every legacy file, and the next step."
    examples = ("manage.py migration_status", "manage.py migration_status --format json")

    options = (FORMAT,)

    def run(self, options: dict[str, Any]) -> int:
        """Always 0: a status is no verdict."""
        with self.working("Asking files and server"):
            found = overview("default")
        render_status(self.console, self.form, found)
        return 0
