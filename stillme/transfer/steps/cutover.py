"""cutover as a library call: the go/no-go list, then one try to switch to PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import Error, connections

from stillme.postgresql.connecting.explain import explain_operational_error
from stillme.transfer.errors import NoLegacyFile, StateError, TransferError
from stillme.transfer.findings import OnEvent, ignore_event
from stillme.transfer.inventory.selection import Selection, files_at_hand
from stillme.transfer.inventory.stores import stores
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.distributed import refuse_where_distributed
from stillme.transfer.postgresql.locks import exclusive, exclusive_transaction
from stillme.transfer.records import ledger
from stillme.transfer.records.live_files import require_place
from stillme.transfer.registry import LegacyFile
from stillme.transfer.steps.readiness.go_no_go import go_list, is_go
from stillme.transfer.steps.readiness.lines import GREEN, Line, missing_lines, unswitched
from stillme.transfer.steps.sealing.broken import AGAIN, unsealed
from stillme.transfer.steps.sealing.seal import seal, unsealed_stores
from stillme.transfer.steps.switching.cutover_options import CutoverOptions, CutoverResult
from stillme.transfer.steps.switching.tail import Judge
from stillme.transfer.steps.switching.thaw import lift_stale_freezes
from stillme.transfer.steps.switching.to_target import ToTarget
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_states import Action, State

__all__ = ["CutoverOptions", "CutoverResult", "check_cutover", "cut_over", "finish_interrupted"]


def check_cutover(
    options: CutoverOptions, judge: Judge, on_event: OnEvent = ignore_event
) -> list[Line]:
    """The go/no-go list (`--dry-run`); `judge` looks at the structure of the target."""
    try:
        files = files_at_hand(Selection(), on_event)
    except NoLegacyFile:
        if lines := missing_lines(options.database):
            return lines
        raise
    lines = go_list(options.database, files, options.backup, judge, options.overrides)
    return [*_named(files), *lines]


def _named(files: Sequence[LegacyFile]) -> list[Line]:
    """What will be switched, and what will not, by name."""
    lines = [Line(GREEN, "switches", ", ".join(file.name for file in files))]
    lines += [Line(GREEN, f"{name}: not switched", why) for name, why in unswitched(files).items()]
    return lines + [
        Line(
            GREEN,
            store.name,
            f"{store.path()} becomes read-only with the switch, if it is proven as it is then",
            f"stop its writers before; if they wrote: manage.py import_sqlite --file {store.name}",
        )
        for store in stores()
        if store.is_present()
    ]


def cut_over(
    options: CutoverOptions, judge: Judge, on_event: OnEvent = ignore_event
) -> CutoverResult:
    """Switch over; `judge` proves the tail. Raises TransferError; then all is as it was before."""
    alias = options.database
    refuse_where_distributed(connections[alias], "The cut-over")
    files = files_at_hand(Selection(), on_event)
    names = [file.name for file in files]
    file_states.require(alias, names, Action.CUT_OVER)
    with exclusive(alias):
        # Another command may have ended while this one waited for the lock.
        file_states.require(alias, names, Action.CUT_OVER)
        lift_stale_freezes(alias, files, on_event)
        lines = go_list(alias, files, options.backup, judge, options.overrides)
        if not is_go(lines):
            red = next(line for line in lines if line.colour == "no-go")
            risk = f" Or take the risk: --despite-{red.override} REASON." if red.override else ""
            raise StateError(f"{red.subject}: {red.finding} -> {red.advice}.{risk}")
        described = {"freeze_limit": options.freeze_limit, "overrides": dict(options.overrides)}
        with ledger.running(alias, "cutover", described) as run:
            switch = ToTarget(options, files, run, judge, on_event)
            switch.attempt()
            result = switch.result
            result.lines = [*_named(files), *lines]
            result.frozen_seconds = switch.locked_out
            run.summary = {"frozen_seconds": result.frozen_seconds, "steps": result.steps}
        if options.seal:
            result.unsealed = _sealed(alias, files)
    return result


def _sealed(alias: str, files: Sequence[LegacyFile]) -> list[str]:
    """Seal; what fails is told. The switch stands, so nothing here may look like its failure."""
    try:
        return seal(alias, files, ignore_event)
    except (Error, OSError, ValueError, TransferError) as error:
        why = explain_operational_error(error) if isinstance(error, Error) else str(error)
        return [f"the files could not be made read-only ({why.rstrip('.')}): {AGAIN}"]


def finish_interrupted(alias: str) -> CutoverResult | None:
    """Seal what a cut-over left unsealed: it was killed after its mark, or a store is proven now.

    And put reverse capture back where somebody took it off. None where nothing is to be done.
    """
    if not _unsealed(alias) and _is_captured(alias):
        return None
    with exclusive(alias):
        # A rollback that went on meanwhile has put the files in charge: they must take writes.
        live = _unsealed(alias)
        is_captured = _is_captured(alias)
        if not live and is_captured:
            return None
        live = live or _live(alias)
        require_place(alias, live)
        result = CutoverResult(None, files=[file.name for file in live])
        if not is_captured:
            reverse.require_carried(alias)
            with exclusive_transaction(alias):
                reverse.install(alias, reverse.every_target_table())
            result.captured_again = True
        result.unsealed = _sealed(alias, live)
    return result


def _live(alias: str) -> list[LegacyFile]:
    return [f for f in file_states.files_in(alias, State.LIVE) if f.path.exists()]


def _is_captured(alias: str) -> bool:
    """Whether PostgreSQL's writes are logged, as long as a file is live."""
    return not _live(alias) or reverse.status(alias, reverse.every_target_table()).is_healthy


def _unsealed(alias: str) -> list[LegacyFile]:
    """The live files, where one of them or a store is not sealed; else none."""
    live = _live(alias)
    return live if live and (unsealed(alias) or unsealed_stores(alias)) else []
