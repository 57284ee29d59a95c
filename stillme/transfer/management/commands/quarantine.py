"""manage.py quarantine: look at the rows that were set aside, and decide about them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from stillme.transfer.errors import TransferError
from stillme.transfer.keys import whole_key
from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import FORMAT, option
from stillme.transfer.quarantine import decisions
from stillme.transfer.reports.terminal import quarantine as report
from stillme.transfer.steps.loading.target_ready import check_target
from stillme.visible import counted


def _row_id(text: str) -> int:
    """An id as `list` prints it. Raises what argparse turns into a sentence."""
    found = whole_key(text)
    if found is None:
        raise ArgumentTypeError(f"{text[:40]!a} is no id: `quarantine list` shows them")
    return found


class Command(TransferCommand):
    """list, show, edit, retry, accept."""

    help = "List, show, edit, retry or accept the legacy rows that were set aside."
    examples = (
        "manage.py quarantine              # what is open, and what to do about it",
        "manage.py quarantine list --reason nul_in_text",
        "manage.py quarantine show 17",
        "manage.py quarantine edit 17 --column title --value 'A title'",
        "manage.py quarantine retry 17",
        "manage.py quarantine accept --reason missing_parent --note 'items were cleaned up'",
    )

    options = (
        option(
            "verb",
            nargs="?",
            default="list",
            choices=("list", "show", "edit", "retry", "accept"),
            help="What to do (default: list).",
        ),
        option("ids", nargs="*", type=_row_id, metavar="ID", help="Quarantined rows."),
        option("--reason", default="", help="All open rows of this reason."),
        option(
            "--table", default="", help="All open rows of this legacy table: NAME or FILE.NAME."
        ),
        option("--status", default="open", help="list: open, repaired, accepted, all."),
        option("--limit", type=int, default=20, help="list: at most so many rows."),
        option("--column", default="", help="edit: the legacy column."),
        option("--value", help="edit: the new value; leave it out for NULL.", default=None),
        option(
            "--as",
            dest="storage",
            choices=("text", "integer", "real"),
            default="text",
            help="edit: the storage class of the new value.",
        ),
        option("--note", default="", help="accept: the reason, kept with the row."),
        FORMAT,
    )

    def run(self, options: dict[str, Any]) -> int:
        """Exit status 1 where a retried row is still set aside, or an edited one was left out."""
        check_target("default")
        handler = getattr(self, f"_{options['verb']}")
        return int(handler(options))

    def _list(self, options: dict[str, Any]) -> int:
        self.check_positive(options, "limit")
        status = "" if options["status"] == "all" else options["status"]
        if status not in ("", *decisions.Status.values):
            raise TransferError(f"There is no status {status!r}: open, repaired, accepted or all.")
        self._check_names(options)
        rows = decisions.select_rows(
            "default", reason=options["reason"], table=options["table"], status=status
        )
        shown, counted = rows[: options["limit"]], decisions.summary("default")
        report.render_list(self.console, self.form, shown, len(rows), counted)
        return 0

    def _check_names(self, options: dict[str, Any]) -> None:
        """Raises TransferError where no row in quarantine has that reason or table."""
        found = decisions.summary("default")
        full = {"", *(f"{line['file']}.{line['table']}" for line in found)}
        for name, others in (("reason", {""}), ("table", full)):
            known = sorted({str(line[name]) for line in found})
            if found and options[name] not in others.union(known):
                raise TransferError(
                    f"No row in quarantine has the {name} {options[name]!r}: "
                    f"choose from {', '.join(known)}."
                )

    def _show(self, options: dict[str, Any]) -> int:
        report.render_rows(self.console, self.form, self._chosen(options))
        return 0

    def _edit(self, options: dict[str, Any]) -> int:
        if not options["column"]:
            raise TransferError("Name the column to edit: --column NAME --value TEXT.")
        storage = options["storage"] if options["value"] is not None else "null"
        rows = self._chosen(options)
        for row in rows:
            decisions.edit("default", row, options["column"], options["value"], storage)
        report.render_edits(self.console, self.form, rows, options["column"])
        return 0

    def _retry(self, options: dict[str, Any]) -> int:
        rows = self._chosen(options)
        with self.working(f"Retrying {counted(len(rows), 'row')}"):
            result = decisions.retry("default", rows)
        report.render_retry(self.console, self.form, result)
        return 1 if result.still else 0

    def _accept(self, options: dict[str, Any]) -> int:
        rows = self._chosen(options)
        # Named by its id, an edited row is meant; one of many may have been forgotten.
        edited = [] if options["ids"] else [row.pk for row in rows if row.repairs]
        with self.working(f"Accepting {counted(len(rows) - len(edited), 'row')}"):
            chosen = [row for row in rows if row.pk not in set(edited)]
            done = decisions.accept("default", chosen, options["note"])
        report.render_accept(self.console, self.form, done, edited)
        return 1 if edited else 0

    def _chosen(self, options: dict[str, Any]) -> list[Any]:
        if not (options["ids"] or options["reason"] or options["table"]):
            raise TransferError(
                "Say which rows: ids, --reason or --table; `manage.py quarantine list` shows them."
            )
        self._check_names(options)
        return decisions.select_rows(
            "default", ids=options["ids"], reason=options["reason"], table=options["table"]
        )
