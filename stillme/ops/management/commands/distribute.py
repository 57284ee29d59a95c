"""`distribute`: each domain's schema to a node of a Citus cluster, checked before and after."""

from __future__ import annotations

import sys
from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stillme.ops.distribute import (
    Content,
    NotDistributedError,
    Plan,
    contents,
    distribute,
    plan_distribution,
)
from stillme.visible import counted, fitting, fitting_error, visible

DIFFERENCES, COULD_NOT_RUN = 1, 2


class Command(BaseCommand):
    """Parse, look, move, prove."""

    help = "Move each domain's schema to a node of a Citus cluster, then compare the rows."
    examples = (
        "manage.py distribute --dry-run",
        "manage.py distribute --rows accuracy.accuracy_scores",
        "manage.py distribute",
    )

    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """--rows, --dry-run and --no-verify."""
        parser.epilog = "Examples:\n" + "\n".join(f"  {example}" for example in self.examples)
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument(
            "--rows",
            nargs="+",
            default=[],
            metavar="TABLE",
            help="Distribute these tables row by row, by the hash of their key, instead of moving "
            "schemas: for tables that outgrow a node. The rest of their schema stays on the "
            "coordinator, so do it before the schema is moved.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Say what it would do.")
        parser.add_argument(
            "--no-verify",
            action="store_true",
            help="Leave out the comparison of the rows before and after.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Works without the engine, which is taken out before."""
        try:
            status = self._run(options)
        except NotDistributedError as error:
            sentence = fitting_error(str(error), CommandError.__name__)
            raise CommandError(sentence, returncode=COULD_NOT_RUN) from error
        if status:
            sys.exit(status)

    def _say(self, sentence: str) -> None:
        """Names of the database's objects may hold anything."""
        self.stdout.write(fitting(visible(sentence), self.stdout))

    def _run(self, options: dict[str, Any]) -> int:
        """0 when all schemas are distributed and equal, 1 while something stands against it."""
        plan = plan_distribution(options["rows"])
        self._show(plan)
        if plan.problems:
            return DIFFERENCES
        if options["dry_run"] or not (plan.move or plan.rows):
            return 0
        schemas = plan.move or tuple({table.split(".")[0] for table, _ in plan.rows})
        before = {} if options["no_verify"] else contents(schemas)
        distribute(plan, on_event=lambda name: self._say(f"Distributed {name}."))
        return 0 if options["no_verify"] else self._compare(before, contents(schemas))

    def _compare(self, before: dict[str, Content], after: dict[str, Content]) -> int:
        """Say what differs: rows that somebody wrote meanwhile, or a table that is not whole."""
        differing = [name for name in before if before[name] != after.get(name)]
        for name in differing:
            now = after.get(name, Content(0, None))
            was = f"{counted(before[name].rows, 'row')} before, {now.rows:,} now"
            values = ", with other values" if before[name].rows == now.rows else ""
            self._say(f"{name}: {was}{values}.")
        if differing:
            self._say("Where nobody wrote meanwhile, that is a loss: see the tables.")
        else:
            self._say(
                f"{counted(len(after), 'table holds', 'tables hold')} the same rows as before."
            )
        return DIFFERENCES if differing else 0

    def _show(self, plan: Plan) -> None:
        self._say(f"Citus {plan.version} with {counted(plan.workers, 'active worker')}.")
        for schema in plan.distributed:
            self._say(f"{schema} is distributed already.")
        for schema in plan.by_rows:
            self._say(f"{schema} has tables distributed one by one; its others stay here.")
        for table, key in plan.rows:
            self._say(f"{table} is to be distributed by the hash of its {key or 'key'}.")
        for schema in plan.move:
            self._say(f"{schema} is to be distributed.")
        for problem in plan.problems:
            self._say(problem)
