"""Functions that turn a text into a vector, where the application has one at hand.

Nothing here computes embeddings. An application registers what it computes them with, in its
`AppConfig.ready`::

    from vector.meaning.embedding import register_embedding
    register_embedding(lambda texts: model.encode(texts), collection="notes")

The console then offers a search by a text's meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
_functions: dict[str, Embed] = {}
ANY = ""


def register_embedding(function: Embed, collection: str = ANY) -> None:
    """Use the function for the collection of this name, or for those without one of their own."""
    _functions[collection] = function


def embedding_for(collection: str) -> Embed | None:
    """The collection's function; None without."""
    return _functions.get(collection) or _functions.get(ANY)
