"""What callers give to a collection's methods, in the shapes that `vector.services` takes.

Chroma takes one value or a list wherever there may be several, and vectors as lists or as arrays
of one or two dimensions. Raises InvalidArgumentError with a sentence for anything else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from stillme.visible import counted
from vector.client.errors import DuplicateIDError, InvalidArgumentError

EmbeddingFunction = Callable[[list[str]], Any]
_INCLUDABLE = ("documents", "embeddings", "metadatas", "distances", "uris")
# Where Chroma keeps the document among the metadata.
_RESERVED = "chroma:document"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]")


def records(
    ids: Any, embeddings: Any, metadatas: Any, documents: Any, images: Any, uris: Any
) -> dict[str, Any]:
    """What `add`, `update` and `upsert` were given, as arguments of `vector.services`.

    Parallel lists of one length, each id once; None for what was not given.
    """
    refuse_media(images, uris)
    given: dict[str, Any] = {
        "ids": ids_once(ids) or [],
        "embeddings": vectors(embeddings),
        "metadatas": several(metadatas),
        "documents": several(documents),
    }
    lengths = {name: len(column) for name, column in given.items() if column is not None}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        found = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise InvalidArgumentError(f"Give lists of one length, at least 1; there are {found}.")
    for metadata in given["metadatas"] or []:
        check_metadata(metadata)
    for document in given["documents"] or []:
        if document is not None and not isinstance(document, str):
            raise InvalidArgumentError(f"A document is a text or None, not {document!r}.")
    return given


def several(given: Any) -> list[Any] | None:
    """One value or a list of them, as a list; None stays None."""
    return given if given is None or isinstance(given, list) else [given]


def ids_among(given: Any) -> list[str] | None:
    """The ids that a query searches among: none, or one twice, is as good as any."""
    ids = several(given)
    if wrong := [each for each in ids or [] if not isinstance(each, str)]:
        raise InvalidArgumentError(f"An id is a text, not {wrong[0]!r}.")
    return ids


def ids_once(given: Any) -> list[str] | None:
    """One id or a list of them; an empty list or an id that is given twice is refused."""
    ids = ids_among(given)
    if ids is None:
        return None
    if not ids:
        raise InvalidArgumentError("The list of ids is empty: give at least one, or leave it out.")
    if twice := [each for each, times in Counter(ids).items() if times > 1]:
        raise DuplicateIDError(f"Give each id once; given twice: {', '.join(twice[:10])}.")
    return ids


def vectors(given: Any) -> list[list[float]] | None:
    """One vector or several, lists or numpy arrays, as lists of numbers; None stays None."""
    if given is None:
        return None
    rows = _plain(given)
    if isinstance(rows, list) and rows:
        rows = [_plain(row) for row in rows]
        if not isinstance(rows[0], list):
            rows = [rows]
        if all(isinstance(row, list) and row and _is_number(row[0]) for row in rows):
            return rows
    raise InvalidArgumentError(
        "Give embeddings as a list of numbers, a list of such lists, or a numpy array of one or "
        "two dimensions, none of them empty."
    )


def _plain(given: Any) -> Any:
    """A numpy array or number as Python's own; anything else as it is."""
    return given.tolist() if hasattr(given, "tolist") else given


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_metadata(metadata: Any) -> None:
    """InvalidArgumentError unless it is None or a mapping that is not empty."""
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not metadata:
        raise InvalidArgumentError(
            f"Metadata is a dict that is not empty, or None; not {metadata!r}."
        )
    if _RESERVED in metadata:
        raise InvalidArgumentError(f"The metadata key {_RESERVED} is reserved: use another.")


def refuse_extras(schema: Any, data_loader: Any) -> None:
    """InvalidArgumentError where a collection is to have what has no place here."""
    if schema is not None or data_loader is not None:
        raise InvalidArgumentError("Schemas and data loaders have no place here: leave them out.")


def refuse_media(images: Any, uris: Any) -> None:
    """InvalidArgumentError where there are images or URIs, which the target has no place for."""
    if images is not None or uris is not None:
        raise InvalidArgumentError(
            "Images and URIs are not stored here: give embeddings, and a URI as metadata."
        )


def check_include(include: Any, *refused: str) -> list[str]:
    """The parts that an answer is to have."""
    known = [name for name in _INCLUDABLE if name not in refused]
    if not isinstance(include, list | tuple) or any(name not in known for name in include):
        raise InvalidArgumentError(f"Give include as a list of {', '.join(known)}; not {include}.")
    return list(include)


def check_name(name: Any) -> None:
    """InvalidArgumentError for a collection's name that Chroma would refuse."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgumentError(
            "A collection's name has 3 to 512 of the characters a-z, A-Z, 0-9, '.', '_', '-', and "
            f"begins and ends with a letter or a digit; {name!r} is not such a name."
        )


def embedded(function: EmbeddingFunction | None, texts: list[Any] | None) -> list[list[float]]:
    """The vectors that the caller's function makes of texts."""
    if texts is None or None in texts:
        raise InvalidArgumentError("Give embeddings, or a text for each for an embedding function.")
    if function is None:
        raise InvalidArgumentError(
            "There are no embeddings, and nothing here computes them: give embeddings, or give "
            "the client's get_collection an embedding_function."
        )
    made = vectors(function(texts))
    if made is None or len(made) != len(texts):
        raise InvalidArgumentError(
            f"The embedding function made {counted(len(made or []), 'vector')} of "
            f"{counted(len(texts), 'text')}."
        )
    return made


def as_query(function: EmbeddingFunction | None) -> EmbeddingFunction | None:
    """The function for texts that are searched for: some models embed them in another way."""
    return getattr(function, "embed_query", function)


def check_n_results(n_results: Any) -> int:
    """How many results; TypeError below 1, as in Chroma."""
    if not isinstance(n_results, int):
        raise InvalidArgumentError(f"n_results is a whole number, not {n_results!r}.")
    if n_results < 1:
        raise TypeError(f"n_results is at least 1, not {n_results}.")
    return check_whole(n_results, "n_results")


def check_whole(number: Any, what: str) -> int:
    """A limit or an offset."""
    if not isinstance(number, int) or not 0 <= number < 2**32:
        raise InvalidArgumentError(f"{what} is a whole number from 0 to 2^32, not {number!r}.")
    return number
