"""manage.py inventory: everything the legacy files hold, and what is left behind on purpose."""

from __future__ import annotations

from typing import Any

from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.entries import open_lines
from stillme.transfer.inventory.taking import leave, live_inventory, reopen
from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import A_FILE, FORMAT, option
from stillme.transfer.reports.terminal.inventory import render_inventory
from stillme.transfer.steps.loading.target_ready import check_target


class Command(TransferCommand):
    """list, leave, reopen."""

    help = (
        "List everything in the legacy files and stores that holds data: carried, left behind by "
        "a decision, or open. Exit status: 0 nothing is open, 1 something is, 2 could not run."
    )
    examples = (
        "manage.py inventory",
        f"manage.py inventory leave {A_FILE}.ratings --note 'a test of 2025, not used'",
        f"manage.py inventory reopen {A_FILE}.ratings",
    )

    options = (
        option(
            "verb",
            nargs="?",
            default="list",
            choices=("list", "leave", "reopen"),
            help="What to do (default list).",
        ),
        option("names", nargs="*", metavar="FILE.NAME", help="Things, as the list names them."),
        option("--note", default="", help="leave: the reason, kept with the decision."),
        FORMAT,
    )

    def run(self, options: dict[str, Any]) -> int:
        """1 while something is open."""
        check_target("default")
        verb, names = options["verb"], options["names"]
        if (verb == "list") is bool(names):
            raise TransferError(
                f"`inventory {verb}` takes no name."
                if names
                else f"Say what: `manage.py inventory {verb} FILE.NAME`; "
                "`manage.py inventory` lists the names."
            )
        if verb == "leave":
            leave("default", names, options["note"])
        elif verb == "reopen":
            reopen("default", names)
        lines = live_inventory("default")
        render_inventory(self.console, self.form, lines)
        return 1 if open_lines(lines) else 0
