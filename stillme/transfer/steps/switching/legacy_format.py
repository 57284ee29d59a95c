"""Target values in the legacy's own formats: timestamp shape and clock, JSON text, numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from stillme.transfer.kinds import Kind
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.steps.kinds import loader_of
from stillme.transfer.steps.kinds.base import Rendered, Stored

# A row with such a value is in the file as told, and would be set aside by a load.
UNREADABLE = frozenset(
    {"beyond_the_calendar", "beyond_places", "json_too_large", "not_a_number", "not_an_address"}
)


class RawText(bytes):
    """Text as its bytes: what is not UTF-8 cannot be bound as str."""


def render(kind: Kind, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
    """The stored value for a target value read with its loader's `read_target`.

    `explicit` writes a local time with its offset, for a time that would be misread without.
    """
    if value is None:
        return Rendered(None)
    return loader_of(kind).spell_back(value, clock, required=required, explicit=explicit)


def extra_cells(document: str | None, columns: Sequence[str]) -> dict[str, Stored]:
    """The undeclared legacy columns rebuilt from `legacy_extra`."""
    found = json.loads(document) if document else {}
    return {name: _extra(found.get(name)) for name in columns}


def _extra(value: Any) -> Stored:
    if isinstance(value, dict):
        if "real" in value:
            return float.fromhex(value["real"])
        if "text" in value:
            return RawText(bytes.fromhex(value["text"]))
        return bytes.fromhex(value["blob"])
    return value  # type: ignore[no-any-return]
