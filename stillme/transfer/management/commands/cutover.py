"""manage.py cutover: switch the application from the legacy files to PostgreSQL."""

from __future__ import annotations

from typing import Any

from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.management.base import TransferCommand
from stillme.transfer.management.options import FORMAT, given_path, one_of, option
from stillme.transfer.models import FileState
from stillme.transfer.plumbing.private_file import check_writable
from stillme.transfer.records.required import OFF
from stillme.transfer.registry import legacy_files
from stillme.transfer.reports.json_text import print_json
from stillme.transfer.reports.terminal.proof import render_verify
from stillme.transfer.reports.terminal.switching import render_cutover, render_list, render_sealed
from stillme.transfer.reports.terminal.syncing import SyncProgress
from stillme.transfer.sqlite.capture import Health
from stillme.transfer.steps.back_up import back_up
from stillme.transfer.steps.cutover import (
    CutoverOptions,
    CutoverResult,
    check_cutover,
    cut_over,
    finish_interrupted,
)
from stillme.transfer.steps.follow import FollowOptions, follow, settle_by_replay
from stillme.transfer.steps.install_capture import (
    capture_reports,
    install_capture,
    remove_capture,
)
from stillme.transfer.steps.readiness.go_no_go import OVERRIDES, is_go
from stillme.transfer.steps.sealing.finish import archive_records, finish, finishable
from stillme.transfer.steps.switching.limit import check_limit
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.verify.tables.live_rows import TailJudge
from stillme.transfer.verify.tables.written_since_cutover import file_state
from stillme.transfer.verify.verification import VerifyOptions, verify
from stillme.visible import counted


class Command(TransferCommand):
    """Parse, one call, render, exit."""

    help = (
        "Freeze the legacy files, drain, verify the tail, install reverse capture, switch. "
        "Any failure before the switch unfreezes the files and leaves everything as it was."
    )
    examples = (
        "manage.py cutover --dry-run       # the go/no-go list; changes nothing",
        "manage.py cutover --backup DIR    # the real thing",
        "manage.py cutover --stopped --backup DIR   # the application is stopped",
        "manage.py cutover --finish        # weeks later: close the way back",
    )

    options = (
        one_of(
            option("--dry-run", help="Only the go/no-go list."),
            option(
                "--stopped",
                help="The old application is stopped: make the backup if DIR does not exist yet, "
                "capture the files, load, verify all of it, then look at the list and switch.",
            ),
            option(
                "--finish",
                help="The files are live and nobody wants to go back: verify, ask, then remove "
                "what the engine left in PostgreSQL and in the files.",
            ),
        ),
        option("--yes", help="With --finish: do not ask."),
        option(
            "--archive",
            type=given_path,
            metavar="FILE",
            help="With --finish: write the migration's records (quarantine, originals, proofs) to "
            "FILE as JSON, and drop the schema transfer.",
        ),
        option(
            "--freeze-limit",
            type=float,
            default=10.0,
            metavar="SECONDS",
            help="Give up, and undo, if writers would be locked out for longer (default 10).",
        ),
        option("--backup", type=given_path, metavar="DIR", help="A folder of backup_sqlite."),
        *(
            option(
                f"--despite-{name}",
                metavar="REASON",
                help=f"Cut over although the line '{name}' is red; the reason is recorded.",
            )
            for name in OVERRIDES
        ),
        FORMAT,
    )

    def run(self, options: dict[str, Any]) -> int:
        """0 switched (or go), 1 no-go."""
        check_limit(options["freeze_limit"])
        progress = SyncProgress(self.console, quiet=self.quiet)
        given = {name: options[f"despite_{name}"] for name in OVERRIDES}
        if any(reason is not None and not reason.strip() for reason in given.values()):
            raise TransferError("--despite-... wants the reason why the risk is taken.")
        wanted = CutoverOptions(
            freeze_limit=options["freeze_limit"],
            backup=options["backup"],
            overrides={name: reason for name, reason in given.items() if reason},
        )
        if (options["archive"] or options["yes"]) and not options["finish"]:
            raise TransferError("--archive and --yes go with --finish.")
        if options["finish"]:
            return self._finish(options, progress)
        if options["dry_run"]:
            lines = check_cutover(wanted, TailJudge("default"), progress.on_event)
            render_list(self.console, self.form, lines)
            return 0 if is_go(lines) else 1
        if sealed := finish_interrupted("default"):
            render_sealed(self.console, self.form, sealed)
            return 0
        if options["stopped"]:
            result = self._switch_stopped(wanted, progress)
        else:
            result = cut_over(wanted, TailJudge("default"), progress.on_event)
        render_cutover(self.console, self.form, result)
        return 0

    def _switch_stopped(self, wanted: CutoverOptions, progress: SyncProgress) -> CutoverResult:
        """Everything between an import and the switch, in one go, as nobody writes.

        Capture, which the way back needs, is taken out again where the switch is not made.
        """
        if wanted.backup is not None and not wanted.backup.exists():
            back_up(wanted.backup, on_event=progress.on_event)
        before = capture_reports("default", Selection())
        try:
            install_capture("default", Selection(), progress.on_event)
            follow(FollowOptions(once=True), progress.on_event)
            with self.working("Verifying every row"):
                proof = verify(VerifyOptions(), settle=settle_by_replay("default"))
            if not self.quiet:
                render_verify(self.console, "text", proof, 20)
            return cut_over(wanted, TailJudge("default"), progress.on_event)
        except BaseException:
            if all(report.health == Health.ABSENT for report in before) and not _is_switched():
                remove_capture("default", Selection(), progress.on_event)
            raise

    def _finish(self, options: dict[str, Any], progress: SyncProgress) -> int:
        """0 finished, 1 where the last proof fails and nothing was changed."""
        archive, unproven = options["archive"], options["despite_proof"] or ""
        if archive:
            check_writable(archive)
        files = [file.name for file in finishable("default")]
        if files and not unproven and (status := self._last_proof(files)):
            return status
        if (files or archive) and not options["yes"]:
            what = f"There will be no way back for {', '.join(files)}" if files else "Records go"
            self.confirm(f"{what}. Type 'finish': ", "finish", "Nothing was finished")
        done = []
        if files or not archive:
            done = finish("default", progress.on_event, unproven=unproven)
        records = archive_records("default", archive) if archive else 0
        if self.quiet:
            print_json(self.console, {"finished": done, "archived": records})
            return 0
        if done:
            self.console.print(
                f"Finished: {', '.join(done)}. The old files are archives, and read-only.",
                soft_wrap=True,
            )
        if archive:
            self.console.print(
                f"{counted(records, 'record is', 'records are')} in {archive}; "
                "the schema transfer is gone.",
                soft_wrap=True,
            )
        self.console.print(f"Now {OFF}, and restart.", soft_wrap=True)
        return 0

    def _last_proof(self, files: list[str]) -> int:
        """The exit status of a verification of what was not written since."""
        wanted = [n for n in files if file_state("default", n) == FileState.State.LIVE]
        if not wanted:
            return 0
        with self.working("Verifying every row that was not written since"):
            proof = verify(VerifyOptions(selection=Selection(files=tuple(wanted))))
        if proof.exit_status or not self.quiet:
            render_verify(self.console, self.form, proof, 20)
        if proof.exit_status and not self.quiet:
            self.console.print(
                "Nothing was finished: without the files nobody can look again. Or take the risk: "
                "--despite-proof REASON.",
                soft_wrap=True,
            )
        return proof.exit_status


def _is_switched() -> bool:
    """Whether the mark was set: then PostgreSQL is in charge, whatever failed after it."""
    return any(
        file_state("default", file.name) in file_states.TARGET_IN_CHARGE for file in legacy_files()
    )
