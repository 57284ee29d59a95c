"""`search_index`: the optional indexes of the admin's search over all tables."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from stillme.pages.search.tables import Table, tables
from stillme.postgresql.names import quote
from stillme.postgresql.statements import execute
from stillme.visible import fitting

ALL = "all"


class Command(BaseCommand):
    """Say which there are, make some, drop some."""

    help = (
        "Say which tables have an index for the admin's search, make it, or drop it. Without one "
        "the search looks at a table's newest rows only."
    )
    examples = (
        "manage.py search_index",
        "manage.py search_index --create all",
        "manage.py search_index --drop knowledge.knowledge_items",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """--create and --drop take tables."""
        parser.epilog = "Examples:\n" + "\n".join(f"  {example}" for example in self.examples)
        parser.formatter_class = RawDescriptionHelpFormatter
        which = parser.add_mutually_exclusive_group()
        said = "%s of these tables; `all` stands for every table that is searched."
        which.add_argument(
            "--create", nargs="+", metavar="TABLE", help=said % "Make the index, without locking,"
        )
        which.add_argument("--drop", nargs="+", metavar="TABLE", help=said % "Drop the index")

    def handle(self, *args: Any, **options: Any) -> None:
        """The indexes of the tables that were named; else a list."""
        if options["create"]:
            for table in _named(options["create"]):
                self._create(table)
        elif options["drop"]:
            for table in _named(options["drop"]):
                self._drop(table)
        else:
            for table in tables():
                self._show(table)

    def _create(self, table: Table) -> None:
        """What was left by a creation that was broken off has the name, but is not valid."""
        alias = table.model._default_manager.db
        there = table.indexes(alias)
        if table.index in there:
            self._say(f"{table.plain_name} has its index.")
            return
        self._drop_all(table, [*there, table.index])
        self._say(f"{table.plain_name}: making {table.index} ...")
        execute(
            connections[alias],
            f"CREATE INDEX CONCURRENTLY {quote(table.index)} ON {table.name} "
            f"USING gin (({table.document}))",
        )
        self._show(table)

    def _drop(self, table: Table) -> None:
        self._drop_all(table, list(table.indexes(table.model._default_manager.db)))
        self._show(table)

    def _drop_all(self, table: Table, names: list[str]) -> None:
        schema, _, _ = table.name.rpartition(".")
        for name in names:
            full = f"{schema}.{quote(name)}" if schema else quote(name)
            connection = connections[table.model._default_manager.db]
            execute(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {full}")

    def _show(self, table: Table) -> None:
        size = table.indexes(table.model._default_manager.db).get(table.index)
        said = "no index" if size is None else f"index of {size / 1_000_000:,.1f} MB"
        self._say(f"{table.plain_name}: {said} over {', '.join(table.columns)}")

    def _say(self, sentence: str) -> None:
        self.stdout.write(fitting(sentence, self.stdout))


def _named(names: list[str]) -> list[Table]:
    """The tables of these names. Raises CommandError, which says what names there are."""
    known = {table.plain_name: table for table in tables()}
    if names == [ALL]:
        return list(known.values())
    if wrong := [name for name in names if name not in known]:
        raise CommandError(
            f"No such table is searched: {', '.join(wrong)}. Choose from: {', '.join(known)}.",
            returncode=2,
        )
    return [known[name] for name in names]
