"""manage.py empty_target: take out everything that a migration loaded, to begin again."""

from __future__ import annotations

from typing import Any

from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import option
from stillme.transfer.models import Run
from stillme.transfer.steps.syncing.empty_target import empty_target, plan_emptying
from stillme.visible import counted


class Command(TransferCommand):
    """Say what goes, ask, delete."""

    help = (
        "Delete every row that was loaded into PostgreSQL, and the quarantine, decisions and "
        "history of the migration. Staff accounts stay, the legacy files are not touched. Refused "
        "while a file is captured and after the cut-over. Asks first."
    )
    examples = ("manage.py empty_target", "manage.py empty_target --yes")

    options = (option("--yes", help="Do not ask."),)

    def run(self, options: dict[str, Any]) -> int:
        """0 when the target is empty."""
        plan = plan_emptying("default")
        if not plan.total and not Run.objects.exists():
            self.console.print(
                f"{plan.database} is empty: nothing was loaded. Next: `manage.py import_sqlite`.",
                soft_wrap=True,
            )
            return 0
        for table, rows in plan.rows.items():
            self.console.print(f"{table}: {counted(rows, 'row')}")
        if not options["yes"]:
            question = f"Type {plan.database} to delete {counted(plan.total, 'row')}: "
            self.confirm(question, plan.database, "Nothing was deleted")
        empty_target("default")
        self.console.print(
            f"{plan.database} is empty: {counted(plan.total, 'row')} deleted. Next: "
            "`manage.py import_sqlite`.",
            soft_wrap=True,
        )
        return 0
