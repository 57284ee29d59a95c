"""Reads a ChromaDB folder (layouts of 0.4 and 1.x) without the chromadb package.

Standard library only, no Django. `open_store(path)` takes a snapshot and yields what the store
holds: collections, items, and a typed record for whatever is not as it should be.
"""

from vector.chroma.records import Collection, Item, Metric, Notice, Origin, Part, Problem, Reason
from vector.chroma.snapshot import copy_store
from vector.chroma.store import Store, open_copy, open_store

__all__ = [
    "Collection",
    "Item",
    "Metric",
    "Notice",
    "Origin",
    "Part",
    "Problem",
    "Reason",
    "Store",
    "copy_store",
    "open_copy",
    "open_store",
]
