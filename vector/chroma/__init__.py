"""Reads a ChromaDB folder (layouts of 0.4 and 1.x) without the chromadb package.

No Django, and numpy only where it is installed. `open_store(path)` takes a snapshot and yields what
the store holds: collections, items, and a typed record for whatever is not as it should be.
"""

from vector.chroma.records import Collection, Item, Metric, Origin, Part, Problem, Reason
from vector.chroma.snapshot import copy_store
from vector.chroma.store import Store, on_own_view, open_store

__all__ = [
    "Collection",
    "Item",
    "Metric",
    "Origin",
    "Part",
    "Problem",
    "Reason",
    "Store",
    "copy_store",
    "on_own_view",
    "open_store",
]
