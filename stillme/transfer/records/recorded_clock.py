"""How the last import of a file read its local times, from the ledger.

An import decides once; the follower, a retry and the way back read by its decision. The judge
looks for itself, and only takes from here which of several offsets was the commonest at first
(docs/reference/values.md, "Clock of a timestamp").

Of a local time that was read by a guess the original is kept under the reason `clock_guess`: a row
without a UTC twin in a file that shows several offsets, or a time in the hour that came twice of
which nothing tells which one is meant. The judge proves that the target holds the guess, not that
the guess is right.
"""

from __future__ import annotations

from stillme.transfer.models import KeptCell, RunFile
from stillme.transfer.plumbing.zones import ClockRecord
from stillme.visible import counted


def recorded_clock(alias: str, file: str) -> ClockRecord | None:
    """The decision of the last import; None where the file was never imported."""
    runs = RunFile.objects.using(alias).filter(file=file, run__command="import_sqlite")
    noted = runs.order_by("-run_id").values_list("clock", flat=True).first()
    if not noted or "usual_minutes" not in noted:
        return None
    offsets = frozenset(int(minutes) for minutes in noted.get("evidence", {}))
    return ClockRecord(noted.get("zone"), int(noted["usual_minutes"]), offsets)


GUESS_REASON = "clock_guess"


def guessed_times(alias: str) -> int:
    """How many there are in the target."""
    return KeptCell.objects.using(alias).filter(reason=GUESS_REASON).count()


def guess_sentence(count: int) -> str:
    """For whoever decides about them."""
    times = counted(count, "local time was", "local times were")
    return (
        f"{times} read by a guess (the commonest offset of the file, or the first "
        "of an hour that came twice)"
    )


GUESS_ADVICE = (
    "name the old machine's zone in LEGACY_TIME_ZONE (inspect_sqlite lists those that fit), then "
    "manage.py import_sqlite; the originals are kept"
)
