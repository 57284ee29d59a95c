"""Texts over 4 MiB: both sides give length and SHA-256, and no process of ours holds the text.

The legacy text is read and hashed in pieces. The target's server hashes its own.
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.reading import huge_cells
from stillme.transfer.sqlite.reading.huge_cells import HugeCell, may_be_huge_text


@dataclass(frozen=True, slots=True)
class HugeText:
    """What is compared of a huge text. `fault` says why no text column can hold it, or is empty."""

    size: int
    sha256: str
    fault: str = ""

    def __repr__(self) -> str:
        text = f"{self.size} bytes of text, SHA-256 {self.sha256}"
        return f"{text}, {self.fault}" if self.fault else text

    def is_same(self, other: object) -> bool:
        """Whether a value in memory is this text."""
        if isinstance(other, str):
            other = of_bytes(other.encode("utf-8", "surrogatepass"))
        elif isinstance(other, bytes):
            other = of_bytes(other)
        return isinstance(other, HugeText) and (self.size, self.sha256) == (
            other.size,
            other.sha256,
        )


def of_bytes(value: bytes) -> HugeText:
    """Return what is compared of a value in memory."""
    return HugeText(len(value), hashlib.sha256(value).hexdigest())


def of_cell(cell: HugeCell) -> HugeText:
    """Return what is compared of a stored text, which is read once, in pieces."""
    hasher = hashlib.sha256()
    size = 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    has_nul, is_utf8 = False, True
    for piece in cell.pieces():
        hasher.update(piece)
        size += len(piece)
        has_nul = has_nul or b"\0" in piece
        is_utf8 = is_utf8 and _decodes(decoder, piece)
    if not (is_utf8 and _decodes(decoder, b"", final=True)):
        return HugeText(size, hasher.hexdigest(), "invalid_utf8")
    return HugeText(size, hasher.hexdigest(), "nul_in_text" if has_nul else "")


def _decodes(decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True


def target_names(mapping: TableMapping) -> set[str]:
    """Return the target columns whose huge texts are compared by checksum."""
    huge = may_be_huge_text(mapping)
    return {column.target for column in mapping.columns if column.legacy in huge}


def target_parts(name: str) -> tuple[str, str]:
    """Return SQL for a text column of the target (quoted): its bytes unless it is huge, and
    ``size:SHA-256`` if it is. PostgreSQL knows the size of a stored value without reading it."""
    huge = f"octet_length({name}) > {huge_cells.HUGE_BYTES}"
    digest = f"encode(sha256(textsend({name})), 'hex')"
    return (
        f"CASE WHEN NOT {huge} THEN textsend({name}) END",
        f"CASE WHEN {huge} THEN octet_length({name})::text || ':' || {digest} END",
    )


def of_target(spelled: str) -> HugeText:
    """Return what is compared, from the ``size:SHA-256`` that `target_parts` selected."""
    size, sha256 = spelled.split(":")
    return HugeText(int(size), sha256)
