"""How a stored value is written into the ledger and the quarantine: storage class and bytes.

``[storage, value]`` as JSON: an integer as number, a real as `float.hex()` text, text and blobs
as base64 of their bytes, NULL as null. Nothing is lost on the way there and back.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from stillme.transfer.errors import TransferError

Raw = None | int | float | bytes


class DamagedCell(TransferError):
    """A record in quarantine holds a cell that was not written by `pack_cell`."""

    def __init__(self, packed: Any) -> None:
        super().__init__(
            f"A record in quarantine was changed by hand and cannot be read ({repr(packed)[:60]}): "
            "`manage.py import_sqlite --overwrite` writes it again from the legacy file."
        )


def pack_cell(storage: str, raw: Raw) -> list[Any]:
    """``("text", b"a")`` -> ``["text", "YQ=="]``."""
    if isinstance(raw, bytes):
        return [storage, base64.b64encode(raw).decode("ascii")]
    return [storage, raw.hex() if isinstance(raw, float) else raw]


def unpack_cell(packed: Any) -> tuple[str, Raw]:
    """The inverse of `pack_cell`. Raises DamagedCell for what somebody else wrote."""
    try:
        storage, value = packed
        if storage in ("text", "blob"):
            return storage, base64.b64decode(value, validate=True)
        if storage == "real":
            return storage, float.fromhex(value)
        if (storage, type(value)) in (("integer", int), ("null", type(None))):
            return storage, value
    except (TypeError, ValueError, OverflowError) as error:
        raise DamagedCell(packed) from error
    raise DamagedCell(packed)


def unpack_json(packed: Any) -> tuple[str, Raw]:
    """`unpack_cell` of a JSON value that a cursor gave: text, where Django registered no loader."""
    return unpack_cell(json.loads(packed) if isinstance(packed, str) else packed)


def unpack_anything(packed: Any) -> tuple[str, Raw]:
    """For whoever compares or shows: what is no packed cell equals no stored one."""
    try:
        return unpack_cell(packed)
    except DamagedCell:
        return "damaged", repr(packed)[:200].encode("utf-8", "backslashreplace")


def unpack_record(cells: Any) -> dict[str, tuple[str, Raw]]:
    """The same for all cells of a row that was set aside."""
    if not isinstance(cells, dict):
        return {}
    return {name: unpack_anything(cell) for name, cell in cells.items()}


def cell_bytes(storage: str, raw: Raw) -> bytes | None:
    """The bytes kept of a repaired cell: text and blobs as they are, numbers as ASCII.

    An integer is its decimal digits, a real its `float.hex()`.
    """
    if raw is None:
        return None
    if isinstance(raw, bytes):
        return raw
    return (raw.hex() if isinstance(raw, float) else str(raw)).encode("ascii")


def show_cell(storage: str, raw: Raw, width: int = 60) -> str:
    """One cell for a person's eyes, clipped."""
    text = "NULL" if raw is None else repr(raw)
    if isinstance(raw, bytes):
        is_blob = storage == "blob"
        text = f"x'{raw.hex()}'" if is_blob else repr(raw.decode("utf-8", "backslashreplace"))
    return text if len(text) <= width else text[: width - 3] + "..."
