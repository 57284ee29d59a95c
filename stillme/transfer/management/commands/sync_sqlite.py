"""manage.py sync_sqlite: capture changes in the live legacy files and follow them."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import CommandParser

from stillme.transfer.inventory.selection import Selection, present_files
from stillme.transfer.management.base import A_FILE, TransferCommand
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


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Capture every write to the legacy files by triggers in them, and replay it in "
        "PostgreSQL. The old application needs no change."
    )
    examples = (
        "manage.py sync_sqlite --install   # probe copies of the files, then install the triggers",
        "manage.py sync_sqlite --follow    # load where needed, then follow until stopped",
        "manage.py sync_sqlite --once      # replay what is there and end",
        "manage.py sync_sqlite --moved     # the files were moved: look at them, note the place",
        "manage.py sync_sqlite --status    # how capture stands",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        mode = parser.add_mutually_exclusive_group(required=True)
        mode.add_argument("--install", action="store_true", help="Install or renew the triggers.")
        mode.add_argument("--status", action="store_true", help="Tell how capture stands.")
        mode.add_argument("--remove", action="store_true", help="Take the triggers out again.")
        mode.add_argument("--follow", action="store_true", help="Replay until stopped (SIGTERM).")
        mode.add_argument("--once", action="store_true", help="Replay what is there, then end.")
        mode.add_argument(
            "--sweep", action="store_true", help="Replay, then look for bypassed capture."
        )
        mode.add_argument(
            "--unfreeze",
            action="store_true",
            help="Lift a freeze that a broken cut-over or rollback left, on the side in charge.",
        )
        mode.add_argument(
            "--moved",
            action="store_true",
            help="Note that captured files are at another place, after looking at their history.",
        )
        parser.add_argument(
            "--file", action="append", metavar="NAME", help=f"Only this legacy file, e.g. {A_FILE}."
        )
        parser.add_argument(
            "--sweep-every",
            type=float,
            default=300.0,
            metavar="SECONDS",
            help="With --follow: look for writes that bypassed capture (default 300; 0 is never).",
        )
        parser.add_argument(
            "--interval",
            type=float,
            default=0.05,
            metavar="SECONDS",
            help="With --follow: look for new changes this often (default 0.05).",
        )
        self.add_format(parser)

    def run(self, options: dict[str, Any]) -> int:
        """0 fine, 1 where capture is not healthy, in another file, or was bypassed."""
        selection = Selection(files=tuple(options["file"] or ()))
        form = options["format"]
        if options["follow"] or options["once"] or options["sweep"]:
            live = SyncProgress(self.console, quiet=form == "json", live=options["follow"])
            return self._follow(selection, options, live)
        progress = SyncProgress(self.console, quiet=form == "json")
        if options["unfreeze"]:
            unfreeze_all("default", present_files(selection, []), progress.on_event)
            render_capture(self.console, capture_reports("default", selection), form)
            return 0
        if options["install"]:
            reports = install_capture("default", selection, progress.on_event)
        elif options["moved"]:
            reports = moved_files("default", selection, progress.on_event)
        elif options["remove"]:
            reports = remove_capture("default", selection, progress.on_event)
        else:
            reports = capture_reports("default", selection, progress.on_event)
        render_capture(self.console, reports, form)
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
        render_follow(self.console, result, options["format"])
        return 1 if result.bypassed else 0
