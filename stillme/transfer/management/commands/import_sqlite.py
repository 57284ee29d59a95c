"""manage.py import_sqlite: load the legacy files into PostgreSQL."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from stillme.transfer.command import TransferCommand
from stillme.transfer.errors import TransferError
from stillme.transfer.reports.terminal_import import ImportProgress, render_import, render_join
from stillme.transfer.selection import Selection
from stillme.transfer.steps.join import join_import
from stillme.transfer.steps.load import CHUNK_ROWS, ImportOptions, import_files


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Load the legacy SQLite files into PostgreSQL. Can be repeated and resumed: what is "
        "already there is not touched, what changed is updated."
    )
    examples = (
        "manage.py import_sqlite",
        "manage.py import_sqlite --file rss --jobs 2",
        "manage.py import_sqlite --dry-run --format json",
        "manage.py import_sqlite --share",
        "manage.py import_sqlite --join --jobs 4",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        self.add_selection(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="Read and convert, write nothing."
        )
        parser.add_argument(
            "--jobs", type=int, default=0, metavar="N", help="Worker processes (default: per core)."
        )
        parser.add_argument(
            "--chunk-rows", type=int, default=CHUNK_ROWS, metavar="N", help="Rows per transaction."
        )
        parser.add_argument(
            "--prune", action="store_true", help="Delete target rows that vanished from the legacy."
        )
        parser.add_argument(
            "--overwrite",
            action="store_true",
            help="Also overwrite rows that the target side changed after the import.",
        )
        parser.add_argument(
            "--moved",
            action="store_true",
            help="The files are the same ones at another place than the last import read them.",
        )
        parser.add_argument(
            "--share",
            action="store_true",
            help="Offer the work to importers on other hosts, which start with --join.",
        )
        parser.add_argument(
            "--join",
            action="store_true",
            help="Help an import that runs with --share elsewhere; ends when it ends.",
        )
        self.add_format(parser)

    def run(self, options: dict[str, Any]) -> int:
        """0 when every row is accounted for; 1 where rows were left alone, or a file is gone."""
        self.check_positive(options, "chunk_rows")
        if options["join"]:
            return self._join(options)
        wanted = ImportOptions(
            selection=Selection(tuple(options["file"] or ()), tuple(options["table"] or ())),
            jobs=max(0, options["jobs"]),
            dry_run=options["dry_run"],
            prune=options["prune"],
            overwrite=options["overwrite"],
            moved=options["moved"],
            share=options["share"],
            chunk_rows=options["chunk_rows"],
        )
        with ImportProgress(self.console, quiet=options["format"] == "json") as progress:
            result = import_files(wanted, progress.on_event)
        render_import(self.console, result, options["format"])
        return 0 if result.conserved and not result.conflicts and not result.missing else 1

    def _join(self, options: dict[str, Any]) -> int:
        """0 when the import that was joined has ended well."""
        for name in _SAID_BY_THE_LEADER:
            if options[name.replace("-", "_")]:
                raise TransferError(
                    f"--join does what the import that it joins was asked for: leave out --{name}."
                )
        wanted = ImportOptions(jobs=max(0, options["jobs"]))
        with ImportProgress(self.console, quiet=options["format"] == "json") as progress:
            result = join_import(wanted, progress.on_event)
        render_join(self.console, result, options["format"])
        return 0


_SAID_BY_THE_LEADER = ("file", "table", "dry-run", "prune", "overwrite", "moved", "share")
