"""manage.py backup_sqlite: back live legacy files up, check a backup, restore one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from stillme.transfer.errors import TransferError
from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import FILE, FORMAT, given_path, one_of, option
from stillme.transfer.reports.terminal.backups import render_backup, render_check, render_restore
from stillme.transfer.reports.terminal.progress import RunProgress
from stillme.transfer.steps.back_up import back_up, check_backup
from stillme.transfer.steps.restore_backup import restore_backup


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Copy the live legacy files (their write-ahead logs included, writers not blocked) and the "
        "vector folder into a new folder, check the copies, and write a manifest. Ends 0 for a "
        "sound backup, 1 if a file is damaged or differs, 2 if it could not run."
    )
    examples = (
        "manage.py backup_sqlite",
        "manage.py backup_sqlite --to /backups/legacy",
        "manage.py backup_sqlite --check /backups/legacy",
        "manage.py backup_sqlite --restore /backups/legacy --to data --yes",
    )

    options = (
        FILE,
        option(
            "--to",
            type=given_path,
            metavar="DIR",
            help="The new folder of the backup (default: backups/<time>); "
            "with --restore: the data directory.",
        ),
        option("--no-vectors", help="Leave the vector folder out."),
        one_of(
            option(
                "--check",
                type=given_path,
                metavar="DIR",
                help="Check a backup against its manifest.",
            ),
            option("--restore", type=given_path, metavar="DIR", help="Restore a backup into --to."),
        ),
        option("--yes", help="With --restore: set the files that are there aside, and restore."),
        FORMAT,
    )

    def run(self, options: dict[str, Any]) -> int:
        """0 when the backup is sound, 1 otherwise."""
        if options["check"]:
            directory = Path(options["check"])
            with self.working(f"Reading {directory} again"):
                problems = check_backup(directory)
            render_check(self.console, self.form, problems, directory)
            return 1 if problems else 0
        if options["restore"]:
            return self._restore(options)
        chosen, stores = self.selection(options), not options["no_vectors"]
        chosen.check()
        # A new folder per second, outside of version control.
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        directory = Path(options["to"] or Path(settings.BASE_DIR) / "backups" / stamp)
        with RunProgress(self.console, quiet=self.quiet) as progress:
            manifest = back_up(
                directory, chosen.files, with_stores=stores, on_event=progress.on_event
            )
        render_backup(self.console, self.form, manifest, directory)
        return 0 if manifest.sound else 1

    def _restore(self, options: dict[str, Any]) -> int:
        if not options["to"]:
            raise TransferError("Name the data directory to restore into: --to DIR.")
        directory, target = Path(options["restore"]), Path(options["to"])
        with self.working(f"Restoring {directory}"):
            restored = restore_backup(directory, target, overwrite=options["yes"])
        render_restore(self.console, self.form, restored, directory)
        return 0
