"""Compares the Chroma reader with chromadb itself, on copies. Needs the chromadb package.

    python benchmarks/vector_compare.py [FOLDER ...]
    python benchmarks/vector_compare.py --write FOLDER      (say, with 0.4.22; compare with 1.4.1)

Without folders it writes stores of its own with the chromadb that is installed (adds beyond the
sync threshold, updates, upserts, deletes, ignored adds; l2, cosine and inner product) and
compares those. Exit status 1 where anything differs: ids, documents, metadata with their types,
or a vector by more than 1e-6 of its norm (by one bit where the reader says it is exact).
"""

from __future__ import annotations

import math
import random
import shutil
import sys
import tempfile
from array import array
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import chromadb

from vector.chroma import Item, Origin, open_store
from vector.chroma.segment import close_enough

DIMENSION = 24
PAGE = 500
COUNTS = (150, 1200, 3100)


def vector(rng: random.Random) -> list[float]:
    """A float32 vector whose norm is not 1."""
    return array("f", [rng.gauss(0, 1) for _ in range(DIMENSION)]).tolist()


def client_of(folder: Path) -> Any:
    """chromadb on a folder, without telemetry."""
    return chromadb.PersistentClient(
        str(folder), settings=chromadb.Settings(anonymized_telemetry=False)
    )


def write_store(folder: Path, count: int) -> None:
    """A store with one collection per metric and every kind of operation."""
    client = client_of(folder)
    for space in ("l2", "cosine", "ip"):
        rng = random.Random(space)
        collection = client.create_collection(f"in_{space}", metadata={"hnsw:space": space})
        ids = [f"{space}_{n:05}" for n in range(count)]
        for start in range(0, count, 100):
            part = ids[start : start + 100]
            collection.add(
                ids=part,
                embeddings=[vector(rng) for _ in part],
                documents=[f"document {name} Xin chào" for name in part],
                metadatas=[
                    {"n": n, "real": n / 4, "flag": n % 2 == 0, "text": f"t{n}"}
                    for n in range(len(part))
                ],
            )
        change(collection, ids, rng)
    # A read makes Chroma bring its own tables up to date before the files are copied.
    for collection in (client.get_collection(f"in_{space}") for space in ("l2", "cosine", "ip")):
        collection.count()


def change(collection: chromadb.Collection, ids: list[str], rng: random.Random) -> None:
    """Update, upsert, delete, and add what exists."""
    collection.update(ids=ids[:5], embeddings=[vector(rng) for _ in range(5)])
    collection.update(ids=ids[5:8], metadatas=[{"n": 99, "new": True}] * 3)
    collection.upsert(
        ids=[ids[9], "fresh"], embeddings=[vector(rng), vector(rng)], documents=["u", "v"]
    )
    collection.delete(ids=ids[10:20])
    collection.add(ids=[ids[12]], embeddings=[vector(rng)], documents=["again"])
    try:
        collection.add(ids=[ids[30]], embeddings=[vector(rng)], documents=["ignored"])
    except ValueError as error:
        # Some versions refuse what others ignore.
        print(f"adding an id twice: {error}")


def ours(folder: Path) -> tuple[dict[str, dict[str, Item]], list[str]]:
    """What the reader says, and its problems."""
    found: dict[str, dict[str, Item]] = {}
    problems = []
    with open_store(folder) as store:
        for collection in store.collections:
            items = found.setdefault(collection.name, {})
            for record in store.items(collection):
                if isinstance(record, Item):
                    items[record.embedding_id] = record
                else:
                    problems.append(record.sentence)
    return found, problems


def compare(folder: Path) -> list[str]:
    """The differences between the two readings of one folder."""
    read, differences = ours(folder)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "store"
        shutil.copytree(folder, copy)
        client = client_of(copy)
        for handle in client.list_collections():
            collection = client.get_collection(getattr(handle, "name", handle))
            differences += compare_collection(collection, dict(read.pop(collection.name, {})))
    return differences + [f"chromadb has no collection {name}" for name in read]


def compare_collection(collection: chromadb.Collection, items: dict[str, Item]) -> list[str]:
    """The differences of one collection."""
    differences: list[str] = []
    origins: Counter[str] = Counter()
    total = collection.count()
    for offset in range(0, total, PAGE):
        page = collection.get(
            include=["documents", "metadatas", "embeddings"], limit=PAGE, offset=offset
        )
        rows = zip(
            page["ids"], page["documents"], page["metadatas"], page["embeddings"], strict=True
        )
        for key, document, metadata, embedding in rows:
            item = items.pop(key, None)
            if item is None:
                differences.append(f"{collection.name} {key}: not read")
                continue
            origins[item.origin] += 1
            where = f"{collection.name} {key}"
            differences += compare_item(where, item, document, metadata, embedding)
    print(f"  {collection.name}: {total} items, {dict(origins)}")
    return differences + [f"{collection.name} {key}: chromadb has it not" for key in items]


def compare_item(
    where: str, item: Item, document: object, metadata: object, embedding: object
) -> list[str]:
    """The differences of one item."""
    found = []
    mine = {key: value for key, value in item.metadata.items() if value is not None}
    if typed(mine) != typed(dict(metadata or {})):
        found.append(f"{where}: metadata {mine!r} against {metadata!r}")
    if item.document != document:
        found.append(f"{where}: document {item.document!r} against {document!r}")
    theirs = array("f", [float(x) for x in embedding]).tobytes()
    # chromadb answers from its index, which for cosine is not exact even where the queue is.
    if theirs != item.vector and item.origin in (Origin.SEGMENT_L2, Origin.SEGMENT_IP):
        found.append(f"{where}: vector not bit-identical")
    elif not close_enough(item.vector, theirs):
        found.append(f"{where}: vector differs by more than 1e-6 of its norm")
    return found


def typed(metadata: dict[str, object]) -> dict[str, tuple[str, object]]:
    """Metadata with the types, NaN comparable."""
    return {
        key: (type(value).__name__, "nan" if value != value else value)
        for key, value in metadata.items()
        if not (isinstance(value, float) and math.isnan(value))
    }


def main(folders: list[str]) -> int:
    """Compare the folders, or stores made here."""
    print(f"chromadb {chromadb.__version__}")
    differences: list[str] = []
    if folders[:1] == ["--write"]:
        for count in COUNTS:
            write_store(Path(folders[1]) / str(count), count)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        if not folders:
            for count in COUNTS:
                write_store(Path(scratch) / str(count), count)
                folders.append(str(Path(scratch) / str(count)))
        for folder in folders:
            print(folder)
            differences += compare(Path(folder))
    for line in differences[:20]:
        print("DIFFERENT", line)
    print("equal" if not differences else f"{len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
