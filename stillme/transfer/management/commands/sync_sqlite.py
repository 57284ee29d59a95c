"""manage.py sync_sqlite: capture changes in the live legacy files and follow them."""

from __future__ import annotations

import signal
from typing import Any

from stillme.transfer.inventory.selection import Selection, present_files
from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import FILE, FORMAT, one_of, option
from stillme.transfer.plumbing.interrupts import StopSignal, ending_signals
from stillme.transfer.reports.terminal.syncing import SyncProgress, render_capture, render_follow
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import (
    capture_reports,
    install_capture,
    moved_files,
    remove_capture,
)
from stillme.transfer.steps.switching.thaw import unfreeze_all

_CHANGES = {"install": install_capture, "moved": moved_files, "remove": remove_capture}


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Capture every write to the legacy files by triggers in them, and replay it in "
        "PostgreSQL. The old application needs no change."
    )
    examples = (
        "manage.py sync_sqlite --install   # probe copies of the files, then install the triggers",
        "manage.py sync_sqlite --follow    # load if needed, then follow until stopped",
        "manage.py sync_sqlite --once      # replay what is there and end",
        "manage.py sync_sqlite --moved     # the files were moved: look at them, note the place",
        "manage.py sync_sqlite --status    # how capture stands",
    )

    options = (
        one_of(
            option("--install", help="Install or renew the triggers."),
            option("--status", help="Tell how capture stands."),
            option("--remove", help="Take the triggers out again."),
            option("--follow", help="Replay until stopped (SIGTERM)."),
            option("--once", help="Replay what is there, then end."),
            option("--sweep", help="Replay, then look for bypassed capture."),
            option(
                "--unfreeze",
                help="Lift a freeze that a broken cut-over or rollback left, on the side in "
                "charge.",
            ),
            option(
                "--moved",
                help="Note that captured files are at another place, after looking at their "
                "history.",
            ),
            required=True,
        ),
        FILE,
        option(
            "--sweep-every",
            type=float,
            default=300.0,
            metavar="SECONDS",
            help="With --follow: look for writes that bypassed capture (default 300; 0 is never).",
        ),
        option(
            "--interval",
            type=float,
            default=0.05,
            metavar="SECONDS",
            help="With --follow: look for new changes this often (default 0.05).",
        ),
        FORMAT,
    )

    def run(self, options: dict[str, Any]) -> int:
        """0 fine, 1 where capture is not healthy, in another file, or was bypassed."""
        selection = self.selection(options)
        if options["follow"] or options["once"] or options["sweep"]:
            live = SyncProgress(self.console, quiet=self.quiet, live=options["follow"])
            return self._follow(selection, options, live)
        progress = SyncProgress(self.console, quiet=self.quiet)
        if options["unfreeze"]:
            unfreeze_all("default", present_files(selection, []), progress.on_event)
            render_capture(self.console, self.form, capture_reports("default", selection))
            return 0
        change = next((call for name, call in _CHANGES.items() if options[name]), capture_reports)
        reports = change("default", selection, progress.on_event)
        render_capture(self.console, self.form, reports)
        healthy = all(r.health == "healthy" and not r.problems for r in reports)
        return 0 if healthy or options["remove"] else 1

    def _follow(self, selection: Selection, options: dict[str, Any], progress: SyncProgress) -> int:
        stop = StopSignal()
        before = {n: signal.signal(n, stop.on_signal) for n in ending_signals()}
        try:
            wanted = FollowOptions(
                selection=selection,
                once=not options["follow"],
                sweep=options["sweep"],
                sweep_every=options["sweep_every"] if options["follow"] else 0.0,
                interval=max(0.001, options["interval"]),
            )
            with progress:
                result = follow(wanted, progress.on_event, stop)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            stop.close()
        render_follow(self.console, self.form, result)
        return 1 if result.bypassed else 0
