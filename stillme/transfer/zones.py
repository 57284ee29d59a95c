"""What LEGACY_TIME_ZONE may say, and what an import records about the local clock of a file."""

from __future__ import annotations

from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stillme.transfer.errors import TransferError

AUTO = "auto"


class ClockRecord(NamedTuple):
    """How the last import read a file's local times, e.g. ``(None, 420, frozenset({420}))``.

    `usual` and `offsets` (all that its rows showed) are minutes east of UTC.
    """

    zone: str | None
    usual: int
    offsets: frozenset[int]


def zone_name(given: str) -> str | None:
    """None for `auto`, the name of a known IANA zone otherwise. Raises TransferError."""
    name = given.strip()
    if name.lower() in ("", AUTO):
        return None
    if _is_known(name):
        return name
    if not _is_known("UTC"):
        raise TransferError(
            "This machine knows no time zones: install its package tzdata, or run "
            "`pip install tzdata`."
        )
    raise TransferError(
        f"LEGACY_TIME_ZONE={name!r} is no IANA time zone: set it to a name such as "
        "Asia/Ho_Chi_Minh, or to auto."
    )


def _is_known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
