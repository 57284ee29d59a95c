"""Local times that were read by a guess: how many there are, and what to do about them.

Their originals are kept under the reason `clock_guess`: a row without a UTC twin in a file that
shows several offsets, or a time in the hour that came twice of which nothing tells which one is
meant. The judge proves that the target holds the guess, not that the guess is right.
"""

from __future__ import annotations

from stillme.transfer.models import KeptCell

REASON = "clock_guess"


def guessed_times(alias: str) -> int:
    """How many there are in the target."""
    return KeptCell.objects.using(alias).filter(reason=REASON).count()


def sentence(count: int) -> str:
    """For whoever decides about them."""
    times = "time was" if count == 1 else "times were"
    return (
        f"{count:,} local {times} read by a guess (the commonest offset of the file, or the first "
        "of an hour that came twice)"
    )


ADVICE = (
    "name the old machine's zone in LEGACY_TIME_ZONE (inspect_sqlite lists those that fit), then "
    "manage.py import_sqlite; the originals are kept"
)
