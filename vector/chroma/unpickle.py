"""Reads `index_metadata.pickle` without letting it run code.

A pickle is a program. The unpickler here builds dicts, lists, tuples, strings, numbers, booleans
and None, which need no class, and refuses every class but the one that Chroma 0.4 saved its label
map in; that one becomes an inert object that only holds attributes.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PERSISTENT_DATA = ("chromadb.segment.impl.vector.local_persistent_hnsw", "PersistentData")


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
