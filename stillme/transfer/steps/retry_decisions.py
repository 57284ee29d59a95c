"""What the file as a whole decides about a row that is retried from quarantine."""

from __future__ import annotations

from stillme.transfer.conf import conf, time_zone
from stillme.transfer.errors import TransferError
from stillme.transfer.kinds import Date, Timestamp
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow, RunFile
from stillme.transfer.registry import legacy_files
from stillme.transfer.sqlite.clock import Clock
from stillme.transfer.steps.syncing.decisions import Decisions
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.transfer.zones import zone_name


def decisions_for(
    alias: str, row: QuarantinedRow, mapping: TableMapping, known: dict[str, Decisions]
) -> Decisions:
    """Clock and units for a row. `known` keeps by file what was read, as it takes a whole look.

    The ledger knows enough of a file with one offset and a row without numbers among its times.
    Raises TransferError where other rows tell and the file is not there, or cannot be read.
    """
    clock = _recorded_clock(alias, row.file)
    is_sure = clock.zone is not None or clock.unanimous
    if is_sure and not _has_numbers(row, mapping):
        return Decisions(clock)
    if row.file not in known:
        known[row.file] = _read(alias, row.file)
    return known[row.file]


def _recorded_clock(alias: str, file: str) -> Clock:
    zone = zone_name(time_zone(file))
    noted = RunFile.objects.using(alias).filter(file=file).order_by("-id").first()
    if noted is None:
        return Clock(zone=zone)
    evidence = {int(m): n for m, n in noted.clock.get("evidence", {}).items()}
    return Clock(usual=int(noted.clock.get("usual_minutes", 0)), zone=zone, evidence=evidence)


def _has_numbers(row: QuarantinedRow, mapping: TableMapping) -> bool:
    cells = {**row.cells, **row.repairs}
    times = [c.legacy for c in mapping.columns if isinstance(c.kind, Timestamp | Date)]
    return any(cells[name][0] in ("integer", "real") for name in times if name in cells)


def _read(alias: str, name: str) -> Decisions:
    file = next(file for file in legacy_files() if file.name == name)
    if not file.path.exists():
        raise TransferError(
            f"What the times of this row mean hangs on other rows of {file.path}, which is not "
            "there: put the file back, or set its path "
            f"({conf().paths}), and retry."
        )
    live = LiveFile(file, None, alias=alias)
    live.close()
    return live.decisions
