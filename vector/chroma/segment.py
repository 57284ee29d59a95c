"""The files of an HNSW segment: vectors by id, without hnswlib, and the map of labels to ids.

Layout (hnswlib as Chroma ships it): `header.bin` has 100 bytes; `data_level0.bin` is an array of
elements, each links + vector + label; `length.bin` has one float32 norm per element, which
only cosine collections need. Chroma writes the files with room for elements to come.

`index_metadata.pickle` says which id an element's label stands for. A pickle is a program. The
unpickler here builds dicts, lists, tuples, strings, numbers, booleans and None, which need no
class, and refuses every class but the one that Chroma 0.4 saved its label map in; that one becomes
an inert object that only holds attributes.
"""

from __future__ import annotations

import mmap
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillme.visible import counted
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
# The one class that a label map may name: Chroma 0.4 saved it in this.
_PERSISTENT_DATA = ("chromadb.segment.impl.vector.local_persistent_hnsw", "PersistentData")


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
        raise SegmentError(f"{path.name} has {counted(len(raw), 'byte')}, not {_HEADER.size}")
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
        # Fewer than the header counts where a file was cut short.
        self.readable = min(self.header.count, len(self._data) // self.header.element_size)
        if metric is Metric.COSINE:
            self.readable = min(self.readable, len(self._norms) // _NORM.size)
        self.origin = Origin(f"segment_{metric}")

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


def scaled(vector: bytes, factor: float) -> bytes:
    """Each float32 times `factor` (a float32), rounded once."""
    # Loading it takes a tenth of a second, which every command would pay at its start.
    import numpy

    with numpy.errstate(over="ignore", invalid="ignore"):
        product = numpy.frombuffer(vector, "<f4") * numpy.float32(factor)
    return bytes(product.tobytes())


def close_enough(exact: bytes, approximate: bytes) -> bool:
    """Whether two float32 vectors differ by no more than a millionth of the norm."""
    import numpy

    if len(exact) != len(approximate):
        return False
    one, two = (numpy.frombuffer(each, "<f4").astype("f8") for each in (exact, approximate))
    with numpy.errstate(invalid="ignore"):
        limit = 1e-6 * (one @ one) ** 0.5 + _LEAST
        return exact == approximate or bool((abs(one - two) <= limit).all())


def _map(path: Path) -> mmap.mmap | bytes:
    try:
        with path.open("rb") as stream:
            if path.stat().st_size == 0:
                return b""
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise SegmentError(f"{path.name} cannot be read ({error.strerror})") from error


class PickleRefusedError(Exception):
    """The pickle is damaged, or holds something that a label map does not."""


class _Attributes:
    """Stands for Chroma's PersistentData: holds what the pickle says, does nothing."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == _PERSISTENT_DATA:
            return _Attributes
        raise PickleRefusedError(f"it asks for {module}.{name}, which a label map has no use for")


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Which id an element's label stands for; `max_seq_id` only where the pickle keeps it (0.4)."""

    id_of: dict[int, str]
    max_seq_id: int | None


def read_label_map(path: Path) -> LabelMap:
    """The label map in `path`. Raises PickleRefusedError with the reason."""
    try:
        with path.open("rb") as stream:
            content = _PlainUnpickler(stream).load()
    except PickleRefusedError:
        raise
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        ImportError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        MemoryError,
        OverflowError,
        RecursionError,
    ) as error:
        raise PickleRefusedError(f"it is damaged ({type(error).__name__}: {error})") from error
    except OSError as error:
        raise PickleRefusedError(f"it cannot be read ({error.strerror})") from error
    return _label_map(vars(content) if isinstance(content, _Attributes) else content)


def _label_map(content: object) -> LabelMap:
    if not isinstance(content, dict):
        raise PickleRefusedError("it holds no label map")
    labels = content.get("id_to_label")
    if not isinstance(labels, dict):
        raise PickleRefusedError("it holds no map from ids to labels")
    id_of: dict[int, str] = {}
    for embedding_id, label in labels.items():
        if type(embedding_id) is not str or type(label) is not int:
            raise PickleRefusedError("its label map holds something other than ids and labels")
        id_of[label] = embedding_id
    if len(id_of) != len(labels):
        raise PickleRefusedError("two ids have the same label")
    mark = content.get("max_seq_id")
    if type(mark) is bytes:
        mark = int.from_bytes(mark, "big")
    if mark is not None and type(mark) is not int:
        raise PickleRefusedError("its max_seq_id is no number")
    return LabelMap(id_of, mark)
