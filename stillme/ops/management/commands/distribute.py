"""`distribute`: each domain's schema to a node of a Citus cluster, checked before and after."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from stillme.ops.distribute import Plan, distribute, plan_distribution, row_counts
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
            help="Leave out the comparison of the row counts before and after.",
        )

    def run(self, options: dict[str, Any]) -> int:
        """0 when all schemas are distributed and equal, 1 while something stands against it."""
        plan = plan_distribution()
        self._show(plan)
        if plan.problems:
            return DIFFERENCES
        if options["dry_run"] or not plan.move:
            return 0
        before = {} if options["no_verify"] else row_counts(plan.move)
        distribute(plan, on_event=lambda schema: self.console.print(f"Distributed {schema}."))
        return 0 if options["no_verify"] else self._compare(before, row_counts(plan.move))

    def _compare(self, before: dict[str, int], after: dict[str, int]) -> int:
        """Say what differs: rows that somebody wrote meanwhile, or a table that is not whole."""
        differing = [name for name in before if before[name] != after.get(name)]
        for name in differing:
            self.console.print(f"{name}: {before[name]:,} rows before, {after.get(name, 0):,} now.")
        if not differing:
            self.console.print(f"{len(after)} tables hold as many rows as before.")
        return DIFFERENCES if differing else 0

    def _show(self, plan: Plan) -> None:
        self.console.print(f"Citus {plan.version} with {plan.workers} active workers.")
        for schema in plan.distributed:
            self.console.print(f"{schema} is distributed already.")
        for schema in plan.move:
            self.console.print(f"{schema} is to be distributed.")
        for problem in plan.problems:
            self.console.print(problem)
