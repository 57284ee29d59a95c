"""`create_database`: make the database that DATABASE_URL names, if it does not exist yet."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.db.utils import Error

from stillme.postgresql.connecting.explain import explain_operational_error
from stillme.postgresql.create import create_database
from stillme.visible import fitting


class Command(BaseCommand):
    """Parse, one call, render."""

    help = "Make the database that DATABASE_URL names, if it does not exist yet."
    examples = ("manage.py create_database",)
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Show the example at the end of `--help`."""
        kwargs["epilog"] = f"Example: {self.examples[0]}"
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """Which alias."""
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS, help="Alias of the database.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say whether it was made or already there; both are fine."""
        try:
            name, made = create_database(options["database"])
        except Error as error:
            raise CommandError(explain_operational_error(error), returncode=2) from error
        outcome = "is made" if made else "exists already"
        said = f"The database {name} {outcome}: `python manage.py migrate` comes next."
        self.stdout.write(fitting(said, self.stdout))
