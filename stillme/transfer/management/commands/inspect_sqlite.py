"""manage.py inspect_sqlite: what is in the legacy files, and what an import will make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stillme.transfer.errors import TransferError
from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import A_FILE, FORMAT, SELECTION, given_path, option
from stillme.transfer.reports.schema_document import schema_document
from stillme.transfer.reports.terminal.inspection import render_inspection
from stillme.transfer.reports.terminal.progress import RunProgress
from stillme.transfer.steps.inspect import inspect_files


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Compare the legacy files with their declared schema, profile what is stored, and predict "
        "what import_sqlite will load, repair and quarantine. Writes nothing. Ends 0 when "
        "everything will load or be repaired, 1 when rows will be quarantined or something is to "
        "be decided, 2 when it could not run."
    )
    examples = (
        "manage.py inspect_sqlite",
        f"manage.py inspect_sqlite --file {A_FILE} --format json",
        "manage.py inspect_sqlite --schema-doc docs/reference/schema.md --check",
    )

    options = (
        *SELECTION,
        option(
            "--schema-doc",
            type=given_path,
            metavar="FILE",
            help="Write the documentation of both schemas instead; needs no files and no server.",
        ),
        option(
            "--check", help="With --schema-doc: write nothing, end 1 if FILE is not up to date."
        ),
        FORMAT,
    )

    def run(self, options: dict[str, Any]) -> int:
        """0 when everything will load or be repaired, 1 otherwise."""
        if options["schema_doc"]:
            return self._document(Path(options["schema_doc"]), check=options["check"])
        if options["check"]:
            raise TransferError("--check belongs to --schema-doc FILE: name the file.")
        # The report may be what is piped.
        quiet = self.quiet or not self.console.is_terminal
        with RunProgress(self.console, quiet=quiet) as progress:
            result = inspect_files(self.selection(options), progress.on_event)
        render_inspection(self.console, self.form, result)
        return 0 if result.clean else 1

    def _document(self, path: Path, *, check: bool) -> int:
        text = schema_document()
        try:
            current = path.read_text(encoding="utf-8") if path.exists() else None
            if check and current != text:
                self.console.print(
                    f"{path} is stale: run `manage.py inspect_sqlite --schema-doc {path}`.",
                    soft_wrap=True,
                )
                return 1
            if current != text:
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise TransferError(f"{path} cannot be used: {error.strerror}.") from error
        self.console.print(f"{path} is up to date.", soft_wrap=True)
        return 0
