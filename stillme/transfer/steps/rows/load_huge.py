"""Rows with a huge value (over 4 MiB): how a text is checked, and how such a row is copied.

A huge text is read twice, in pieces: `check_text` looks for what PostgreSQL's text cannot hold,
and `line_pieces` copies it. A huge JSON document is read whole to be checked (`careful`). If it
needs no repair, the loader lets go of it, and `line_pieces` copies it from the file in pieces too.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Iterator, Sequence

from stillme.transfer.plumbing.csv_format import QUOTE, quoted_cell
from stillme.transfer.sqlite.reading.huge_cells import HugeCell
from stillme.transfer.steps.kinds.base import Refused

TargetCell = str | HugeCell | None
_QUOTE = QUOTE.encode()


def check_text(cell: HugeCell) -> None:
    """Raise Refused if PostgreSQL's text cannot hold the value."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    characters = read = 0
    nul: int | None = None
    for piece in cell.pieces():
        waiting = len(decoder.getstate()[0])
        text = _decode(decoder, piece, read - waiting)
        if nul is None and "\0" in text:
            nul = characters + text.index("\0")
        characters += len(text)
        read += len(piece)
    _decode(decoder, b"", read - len(decoder.getstate()[0]), final=True)
    if nul is not None:
        raise Refused("nul_in_text", f"U+0000 at character {nul} of the text.")


def _decode(
    decoder: codecs.IncrementalDecoder, piece: bytes, start: int, *, final: bool = False
) -> str:
    """`start` is where the bytes begin that the decoder has not decoded yet."""
    try:
        return decoder.decode(piece, final)
    except UnicodeDecodeError as error:
        raise Refused(
            "invalid_utf8", f"Not UTF-8 at byte {start + error.start} of the stored text."
        ) from error


def digest(cells: Iterable[HugeCell]) -> str:
    """Identifies the huge values of a row."""
    digests = []
    for cell in cells:
        hasher = hashlib.sha256()
        for piece in cell.pieces():
            hasher.update(piece)
        digests.append(f"{cell.column}:{hasher.hexdigest()}")
    return " ".join(digests)


def is_huge(cells: Sequence[TargetCell]) -> bool:
    """Whether a row is to be written in pieces."""
    return any(isinstance(cell, HugeCell) for cell in cells)


def line_pieces(cells: Sequence[TargetCell]) -> Iterator[bytes]:
    """The CSV line of a row. A quote is one byte: doubling it needs no look at the next piece."""
    for number, cell in enumerate(cells):
        if number:
            yield b","
        if isinstance(cell, HugeCell):
            yield _QUOTE
            for piece in cell.pieces():
                yield piece.replace(_QUOTE, _QUOTE * 2)
            yield _QUOTE
        elif cell is not None:
            yield quoted_cell(cell).encode("utf-8")
    yield b"\n"
