"""How the last import of a file read its local times, from the ledger.

An import decides once; the follower, a retry and the way back read by its decision. The judge
looks for itself, and only takes from here which of several offsets was the commonest at first
(docs/reference/values.md, "Clock of a timestamp").
"""

from __future__ import annotations

from stillme.transfer.conf import conf
from stillme.transfer.models import RunFile
from stillme.transfer.plumbing.zones import ClockRecord


def recorded_clock(alias: str, file: str) -> ClockRecord | None:
    """The decision of the last import; None where the file was never imported."""
    runs = RunFile.objects.using(alias).filter(file=file, run__command="import_sqlite")
    noted = runs.order_by("-run_id").values_list("clock", flat=True).first()
    if not noted or "usual_minutes" not in noted:
        return None
    offsets = frozenset(int(minutes) for minutes in noted.get("evidence", {}))
    return ClockRecord(noted.get("zone"), int(noted["usual_minutes"]), offsets)


def recorded_clocks(alias: str) -> dict[str, ClockRecord | None]:
    """The same for every known file, by its name."""
    return {name: recorded_clock(alias, name) for name in conf().files}
