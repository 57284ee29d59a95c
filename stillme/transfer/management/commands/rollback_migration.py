"""manage.py rollback_migration: move the application back to the legacy files."""

from __future__ import annotations

from typing import Any

from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import FORMAT, given_path, option
from stillme.transfer.reports.json_text import print_json
from stillme.transfer.reports.terminal.switching import render_restore, render_rollback
from stillme.transfer.reports.terminal.syncing import SyncProgress
from stillme.transfer.steps.restore_over_live import plan_restore, restore
from stillme.transfer.steps.rollback import (
    FREEZE_LIMIT,
    finish_interrupted,
    plan_rollback,
    roll_back,
)
from stillme.transfer.steps.switching.limit import check_limit
from stillme.transfer.verify.tables.live_rows import TailJudge

_WORD = "restore"


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Carry what PostgreSQL received since the cut-over back into the legacy files, in their "
        "own formats, and let the old application write again; or restore a backup."
    )
    examples = (
        "manage.py rollback_migration --dry-run        # what would be carried back",
        "manage.py rollback_migration                  # the real thing, nothing is lost",
        "manage.py rollback_migration --to-backup DIR  # restore a backup; says what is lost",
    )

    options = (
        option("--dry-run", help="Change nothing."),
        option(
            "--freeze-limit",
            type=float,
            default=FREEZE_LIMIT,
            metavar="SECONDS",
            help="Give up, and let PostgreSQL take writes again, if nobody could write for longer "
            "(default 60).",
        ),
        option("--to-backup", type=given_path, metavar="DIR", help="Restore this backup."),
        option("--yes", help="Do not ask before --to-backup."),
        FORMAT,
    )

    def run(self, options: dict[str, Any]) -> int:
        """0 fine, 1 where a row would not read back equal."""
        check_limit(options["freeze_limit"])
        progress = SyncProgress(self.console, quiet=self.quiet)
        if options["to_backup"] is not None:
            return self._restore(options, progress)
        if options["dry_run"]:
            result = plan_rollback("default")
        else:
            if done := finish_interrupted("default", progress.on_event):
                if self.quiet:
                    print_json(self.console, {"unfrozen": done})
                return 0
            result = roll_back(
                "default",
                TailJudge("default"),
                progress.on_event,
                freeze_limit=options["freeze_limit"],
            )
        render_rollback(self.console, self.form, result)
        return 1 if result.unequal else 0

    def _restore(self, options: dict[str, Any], progress: SyncProgress) -> int:
        plan = plan_restore("default", options["to_backup"])
        render_restore(self.console, self.form, plan)
        if options["dry_run"]:
            return 0
        if not options["yes"]:
            question = f"Type {_WORD!r} to lay the backup over the live files: "
            self.confirm(question, _WORD, "Nothing was restored")
        restore("default", plan, progress.on_event)
        return 0
