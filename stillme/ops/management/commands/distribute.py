"""`distribute`: each domain's schema to a node of a Citus cluster, checked before and after."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandParser

from stillme.ops.distribute import Plan, distribute, plan_distribution
from stillme.transfer.management.base import TransferCommand

DIFFERENCES = 1


class Command(TransferCommand):
    """Parse, look, move, prove."""

    help = "Move each domain's schema to a node of a Citus cluster, then compare the row counts."
    examples = ("manage.py distribute --dry-run", "manage.py distribute")

    def add_arguments(self, parser: CommandParser) -> None:
        """--dry-run and --no-verify."""
        parser.add_argument("--dry-run", action="store_true", help="Say what it would do.")
        parser.add_argument(
            "--no-verify",
            action="store_true",
            help="Leave out the comparison of the row counts with the legacy files.",
        )

    def run(self, options: dict[str, Any]) -> int:
        """0 when all schemas are distributed and equal, 1 while something stands against it."""
        plan = plan_distribution()
        self._show(plan)
        if plan.problems:
            return DIFFERENCES
        if options["dry_run"] or not plan.move:
            return 0
        distribute(plan, on_event=lambda schema: self.console.print(f"Distributed {schema}."))
        if not options["no_verify"]:
            call_command("verify_migration", level="counts")
        return 0

    def _show(self, plan: Plan) -> None:
        self.console.print(f"Citus {plan.version} with {plan.workers} active workers.")
        for schema in plan.distributed:
            self.console.print(f"{schema} is distributed already.")
        for schema in plan.move:
            self.console.print(f"{schema} is to be distributed.")
        for problem in plan.problems:
            self.console.print(problem)
