"""What the file as a whole decides about a row that is retried from quarantine."""

from __future__ import annotations

from stillme.transfer.conf import conf
from stillme.transfer.errors import TransferError
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.records.recorded_clock import recorded_clock
from stillme.transfer.registry import legacy_files
from stillme.transfer.sqlite.clock.file_clock import clock_of_record
from stillme.transfer.steps.syncing.file_decisions import Decisions
from stillme.transfer.steps.syncing.live_file import LiveFile


def decisions_for(
    alias: str, row: QuarantinedRow, mapping: TableMapping, known: dict[str, Decisions]
) -> Decisions:
    """Clock and units for a row. `known` keeps by file what was read, as it takes a whole look.

    The ledger knows the clock, and enough of a row without numbers among its times. Raises
    TransferError where other rows tell and the file is not there, or cannot be read.
    """
    recorded = recorded_clock(alias, row.file)
    if recorded is not None and not _has_numbers(row, mapping):
        return Decisions(clock_of_record(recorded))
    if row.file not in known:
        known[row.file] = _read(alias, row.file)
    return known[row.file]


def _has_numbers(row: QuarantinedRow, mapping: TableMapping) -> bool:
    cells = {**row.cells, **row.repairs}
    times = [c.legacy for c in mapping.columns if c.kind.is_time]
    return any(cells[name][0] in ("integer", "real") for name in times if name in cells)


def _read(alias: str, name: str) -> Decisions:
    file = next(file for file in legacy_files() if file.name == name)
    if not file.path.exists():
        raise TransferError(
            f"How the times of this row are read depends on other rows of {file.path}, which is "
            f"missing: put the file back, or set its path ({conf().paths}), and retry."
        )
    live = LiveFile(file, None, alias=alias)
    live.close()
    return live.decisions
