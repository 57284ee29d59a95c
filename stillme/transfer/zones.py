"""The zone of the legacy side's local times: `auto`, or the name of a zone that is known here."""

from __future__ import annotations

from stillme.services.zones import AUTO as AUTO
from stillme.services.zones import known_zone
from stillme.transfer.errors import TransferError


def zone_name(given: str) -> str | None:
    """None for `auto`, the name of a known IANA zone otherwise. Raises TransferError."""
    try:
        return known_zone(given)
    except ValueError as error:
        raise TransferError(str(error)) from error
