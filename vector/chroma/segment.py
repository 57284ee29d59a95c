"""The files of an HNSW segment: vectors by id, without hnswlib.

Layout (hnswlib as Chroma ships it): `header.bin` has 100 bytes; `data_level0.bin` is an array of
elements, each links + vector + label; `length.bin` has one float32 norm per element, which
only cosine collections need. Chroma writes the files with room for elements to come.
"""

from __future__ import annotations

import mmap
import struct
from array import array
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vector.chroma.records import Metric, Origin

# version, offset of level 0, capacity, count, element size, label offset, vector offset, top
# level, entry point, maxM, maxM0, M, mult, ef_construction: 100 bytes without padding.
_HEADER = struct.Struct("<i6QiI3QdQ")
_LABEL = struct.Struct("<Q")
_NORM = struct.Struct("<f")
# Two steps between the smallest float32, which round by more than a share of their norm.
_LEAST = 2.0**-148
_DELETED = 0x01
# A link list starts with its length in 16 bits; the third byte carries the deletion mark.
_DELETED_AT = 2


class SegmentError(Exception):
    """The segment's files do not fit together; the message says how."""


@dataclass(frozen=True, slots=True)
class Header:
    """The numbers of `header.bin` that reading needs."""

    count: int
    element_size: int
    label_offset: int
    vector_offset: int


def read_header(path: Path) -> Header:
    """Parse `header.bin`; SegmentError where it is not one."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SegmentError(f"{path.name} cannot be read ({error.strerror})") from error
    if len(raw) != _HEADER.size:
        raise SegmentError(f"{path.name} has {len(raw)} bytes, not {_HEADER.size}")
    _version, base, capacity, count, size, label, vector, *_rest = _HEADER.unpack(raw)
    fits = base == 0 and 0 < vector <= label and (label - vector) % 4 == 0
    if not fits or size != label + _LABEL.size or count > capacity:
        raise SegmentError(f"{path.name} is not of the layout this reader knows")
    return Header(count, size, label, vector)


class Segment:
    """The vectors of one segment, mapped into memory, not loaded."""

    def __init__(self, folder: Path, metric: Metric) -> None:
        self.metric = metric
        self.header = read_header(folder / "header.bin")
        self._data = _map(folder / "data_level0.bin")
        self._norms = _map(folder / "length.bin") if metric is Metric.COSINE else b""
        self.readable = min(self.header.count, len(self._data) // self.header.element_size)
        if metric is Metric.COSINE:
            self.readable = min(self.readable, len(self._norms) // _NORM.size)
        self.origin = Origin(f"segment_{metric}")

    @property
    def truncated(self) -> int:
        """How many elements the header counts and the files no longer hold."""
        return self.header.count - self.readable

    def elements(self) -> list[tuple[int, int]]:
        """`(label, position)` of every element that is readable and not deleted."""
        size, at = self.header.element_size, self.header.label_offset
        data = self._data
        return [
            (_LABEL.unpack_from(data, n * size + at)[0], n)
            for n in range(self.readable)
            if not data[n * size + _DELETED_AT] & _DELETED
        ]

    def vector(self, position: int) -> bytes:
        """The vector of an element as the client gave it: exact, or within 1e-6 for cosine."""
        start = position * self.header.element_size
        stored = self._data[start + self.header.vector_offset : start + self.header.label_offset]
        if self.metric is not Metric.COSINE:
            return stored
        norm = _NORM.unpack_from(self._norms, position * _NORM.size)[0]
        return scaled(stored, norm)

    def close(self) -> None:
        """Unmap the files."""
        for mapped in (self._data, self._norms):
            if isinstance(mapped, mmap.mmap):
                mapped.close()


@cache
def numpy_if_installed() -> Any:
    """The module numpy, or None.

    Ten times faster at the sums there are to do here; nothing needs it. Loading it takes a tenth of
    a second, which every command would pay at its start.
    """
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def scaled(vector: bytes, factor: float) -> bytes:
    """Each float32 times `factor` (a float32), rounded once: the same bits with and without numpy.

    A product of two float32 is exact in a double, so rounding that is rounding the product.
    """
    numpy = numpy_if_installed()
    if numpy is None:
        return array("f", [x * factor for x in array("f", vector)]).tobytes()
    with numpy.errstate(over="ignore", invalid="ignore"):
        product = numpy.frombuffer(vector, "<f4") * numpy.float32(factor)
    return bytes(product.tobytes())


def close_enough(exact: bytes, approximate: bytes, tolerance: float = 1e-6) -> bool:
    """Whether two float32 vectors differ by no more than `tolerance` times the norm."""
    if exact == approximate:
        return True
    if len(exact) != len(approximate):
        return False
    one, two = array("f", exact), array("f", approximate)
    limit = tolerance * sum(x * x for x in one) ** 0.5 + _LEAST
    return all(abs(x - y) <= limit for x, y in zip(one, two, strict=True))


def _map(path: Path) -> mmap.mmap | bytes:
    try:
        with path.open("rb") as stream:
            if path.stat().st_size == 0:
                return b""
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise SegmentError(f"{path.name} cannot be read ({error.strerror})") from error
