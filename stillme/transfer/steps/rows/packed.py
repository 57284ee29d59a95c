"""Quarantined rows and kept originals of a range, packed small: every row may need one."""

from __future__ import annotations

import json
import marshal
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from stillme.transfer.errors import TransferError
from stillme.transfer.mapped_column import referred_key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.stored_cells import Raw, pack_cell
from stillme.transfer.steps.rows.unusual_rows import Kept, SetAside

# jsonb holds 2**28 - 1 bytes; a cell is there as base64.
MOST_KEPT_BYTES = 200_000_000
# One encoder: `json.dumps` makes a new one each time.
_encoded = json.JSONEncoder(ensure_ascii=False).encode


class PackedRow(NamedTuple):
    """A row for the quarantine: `stored` are its cells in the order of `names`, marshalled; without
    names it is the record already (`faulty_rows`).

    `references` are the values of the columns that refer to other rows, None for what is no key.
    """

    key: str | None
    rowid: int | None
    names: tuple[str, ...]
    stored: bytes
    reason: str
    column: str
    sentence: str
    references: tuple[tuple[str, int | str | None], ...]

    def cells(self) -> bytes:
        """The JSON that the quarantine stores, spelled as jsonb prints it."""
        if not self.names:
            return self.stored
        cells = zip(self.names, marshal.loads(self.stored), strict=True)  # noqa: S302 - our own
        return _encoded({name: pack_cell(*cell) for name, cell in cells}).encode()


@dataclass(frozen=True, slots=True)
class KeptRow:
    """The originals that are kept of a loaded row."""

    key: str
    kept: tuple[Kept, ...]
    repaired: bool


def pack(mapping: TableMapping, row: SetAside) -> PackedRow:
    """Let go of the raw row. Raises TransferError where it is too large for the quarantine."""
    cells = row.raw.whole().cells
    _check_room(mapping, row, cells)
    names = as_jsonb_orders(tuple(cells))
    stored = marshal.dumps([cells[name] for name in names])
    references = tuple(
        (c.legacy, referred_key(c, *cells[c.legacy])) for c, _ in mapping.references()
    )
    return PackedRow(
        row.key, row.raw.rowid, names, stored, row.reason, row.column, row.sentence, references
    )


@cache
def as_jsonb_orders(names: tuple[str, ...]) -> tuple[str, ...]:
    """Shorter keys first: the text is then what jsonb prints, so that texts can be compared."""
    return tuple(sorted(names, key=lambda name: (len(name.encode()), name.encode())))


def _check_room(mapping: TableMapping, row: SetAside, cells: dict[str, tuple[str, Raw]]) -> None:
    sizes = {name: len(raw) for name, (_, raw) in cells.items() if isinstance(raw, bytes)}
    size = sum(sizes.values())
    if size > MOST_KEPT_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        raise TransferError(
            f"Row {row.key} of {mapping.declared_table} has to be set aside ({row.reason}), but "
            f"holds {size:,} bytes, and the quarantine keeps at most {MOST_KEPT_BYTES:,} of a row: "
            f"mend or shorten its {largest} in the legacy file, then run the same command again."
        )
