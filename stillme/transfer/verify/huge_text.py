"""Huge texts in the judge: both sides say length and SHA-256, no process of ours holds one.

The legacy side is hashed in pieces as it is read; the target's bytes are hashed by its server.
"""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite import huge_cell
from stillme.transfer.sqlite.huge_cell import HugeCell, may_be_huge_text


@dataclass(frozen=True, slots=True)
class HugeText:
    """What is compared of a huge text. `fault` is why no text column can hold it."""

    size: int
    sha256: str
    fault: str = ""

    def __repr__(self) -> str:
        text = f"{self.size} bytes of text, SHA-256 {self.sha256}"
        return f"{text}, {self.fault}" if self.fault else text

    def is_same(self, other: object) -> bool:
        """Whether a value that is at hand is this text."""
        if isinstance(other, str):
            other = of_bytes(other.encode("utf-8", "surrogatepass"))
        elif isinstance(other, bytes):
            other = of_bytes(other)
        return isinstance(other, HugeText) and (self.size, self.sha256) == (
            other.size,
            other.sha256,
        )


def of_bytes(value: bytes) -> HugeText:
    """Of a value that is at hand."""
    return HugeText(len(value), hashlib.sha256(value).hexdigest())


def of_cell(cell: HugeCell) -> HugeText:
    """Of a stored one, read once."""
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
    """The target columns that are compared so where their text is huge."""
    huge = may_be_huge_text(mapping)
    return {column.target for column in mapping.columns if column.legacy in huge}


def target_parts(name: str) -> tuple[str, str]:
    """SQL for a text column of the target (quoted): the value unless it is huge, and
    ``size:SHA-256`` where it is. The size of a stored value is known without reading it."""
    huge = f"octet_length({name}) > {huge_cell.HUGE_BYTES}"
    digest = f"encode(sha256(convert_to({name}, 'UTF8')), 'hex')"
    return (
        f"CASE WHEN NOT {huge} THEN {name} END",
        f"CASE WHEN {huge} THEN octet_length({name}) || ':' || {digest} END",
    )


def of_target(spelled: str) -> HugeText:
    """What `target_parts` selected."""
    size, sha256 = spelled.split(":")
    return HugeText(int(size), sha256)
