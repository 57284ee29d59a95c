"""The zone of a file's local times, and what an import records about their clock."""

from __future__ import annotations

from typing import NamedTuple

from stillme.services.zones import AUTO as AUTO
from stillme.services.zones import known_zone
from stillme.transfer.errors import TransferError


class ClockRecord(NamedTuple):
    """How the last import read a file's local times, e.g. ``(None, 420, frozenset({420}))``.

    `usual` and `offsets` (all that its rows showed) are minutes east of UTC.
    """

    zone: str | None
    usual: int
    offsets: frozenset[int]


def zone_name(given: str) -> str | None:
    """None for `auto`, the name of a known IANA zone otherwise. Raises TransferError."""
    try:
        return known_zone(given)
    except ValueError as error:
        raise TransferError(str(error)) from error
