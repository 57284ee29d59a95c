"""manage.py rehearse_migration: the whole migration day on copies, timed, then thrown away."""

from __future__ import annotations

from typing import Any

from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import FORMAT, option
from stillme.transfer.reports.terminal.switching import render_rehearsal
from stillme.transfer.reports.terminal.syncing import SyncProgress
from stillme.transfer.steps.rehearse import rehearse
from stillme.transfer.verify.tables.live_rows import TailJudge
from stillme.transfer.verify.verification import VerifyOptions, verify


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Backup, import, proof, capture, cut-over and rollback on copies of the files, in a "
        "scratch database on the same server; the live files and the target are not touched."
    )
    examples = ("manage.py rehearse_migration", "manage.py rehearse_migration --format json")

    options = (
        option("--no-proof", help="Leave verify_migration out."),
        FORMAT,
    )

    def run(self, options: dict[str, Any]) -> int:
        """0 where every step went well, 1 else."""
        progress = SyncProgress(self.console, quiet=self.quiet)
        proof = None if options["no_proof"] else _proof
        result = rehearse(proof, TailJudge("default"), progress.on_event)
        render_rehearsal(self.console, self.form, result)
        return 0 if result.ok else 1


def _proof() -> tuple[int, int]:
    """Findings and undecided rows."""
    result = verify(VerifyOptions())
    return result.findings.total, result.open_rows
