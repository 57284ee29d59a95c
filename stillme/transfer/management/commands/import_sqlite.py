"""manage.py import_sqlite: load the legacy files into PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from stillme.transfer.inventory.deletions import FEW, SHARE, Deletion
from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import A_FILE, FORMAT, SELECTION, option
from stillme.transfer.reports.terminal.imports import render_import
from stillme.transfer.reports.terminal.progress import RunProgress
from stillme.transfer.steps.load import CHUNK_ROWS, ImportOptions, import_files


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Load the legacy SQLite files into PostgreSQL. Can be repeated and resumed: what is "
        "already there is not touched, what changed is updated."
    )
    examples = (
        "manage.py import_sqlite",
        f"manage.py import_sqlite --file {A_FILE} --jobs 2",
        "manage.py import_sqlite --dry-run --format json",
    )

    options = (
        *SELECTION,
        option("--dry-run", help="Read and convert, write nothing."),
        option(
            "--jobs", type=int, default=0, metavar="N", help="Worker processes (default: per core)."
        ),
        option(
            "--chunk-rows", type=int, default=CHUNK_ROWS, metavar="N", help="Rows per transaction."
        ),
        option(
            "--prune",
            help="Delete target rows that vanished from the legacy; it says which, and asks.",
        ),
        option("--yes", help="With --prune: delete without asking."),
        option(
            "--prune-share",
            type=float,
            default=SHARE,
            metavar="PERCENT",
            help="With --prune: delete nothing if a table would lose more than this share of "
            f"its rows, and more than {FEW} rows (default {SHARE:g}).",
        ),
        option(
            "--overwrite", help="Also overwrite rows that the target side changed after the import."
        ),
        option(
            "--moved",
            help="The files are the same ones at another place than the last import read them.",
        ),
        option(
            "--replaced",
            help="A file has other rows than the one that was loaded from its place (another "
            "installation, an older backup): it is to take that one's place.",
        ),
        FORMAT,
    )

    def run(self, options: dict[str, Any]) -> int:
        """0 all is accounted for; 1 something was left alone, refused, or is undecided."""
        self.check_positive(options, "chunk_rows")
        wanted = ImportOptions(
            selection=self.selection(options),
            jobs=max(0, options["jobs"]),
            dry_run=options["dry_run"],
            prune=options["prune"],
            prune_share=options["prune_share"],
            replaced=options["replaced"],
            overwrite=options["overwrite"],
            moved=options["moved"],
            chunk_rows=options["chunk_rows"],
        )
        with RunProgress(self.console, quiet=self.quiet) as progress:

            def confirm(found: Sequence[Deletion]) -> bool:
                progress.stop()
                return bool(options["yes"]) or self._asked(found)

            result = import_files(wanted, progress.on_event, confirm)
        render_import(self.console, self.form, result)
        return result.exit_status

    def _asked(self, found: Sequence[Deletion]) -> bool:
        """Whether a person at a terminal says yes; False where there is none."""
        if self.quiet or not (self.console.is_terminal and sys.stdin.isatty()):
            return False
        for deletion in found:
            self.console.print(f"  {deletion.sentence()}", soft_wrap=True)
        answer = self.console.input("Delete these from the target? y/N ")
        return answer.strip().lower() in ("y", "yes")
