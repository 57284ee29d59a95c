"""Writes folders of the shape ChromaDB leaves, in both layouts, for the tests.

Follows what chromadb 0.4.22 and 1.4.1 write (benchmarks/vector_compare.py checks the reader
against the real thing): tables, queue, and the HNSW segment's files without any links.
"""

from __future__ import annotations

import json
import math
import pickle
import sqlite3
import struct
from array import array
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

ADD, UPDATE, UPSERT, DELETE = range(4)
LINKS = 132

_COMMON = """
CREATE TABLE migrations (dir TEXT, version INTEGER, filename TEXT, sql TEXT, hash TEXT);
CREATE TABLE tenants (id TEXT PRIMARY KEY);
CREATE TABLE databases (id TEXT PRIMARY KEY, name TEXT, tenant_id TEXT);
INSERT INTO tenants VALUES ('default_tenant');
INSERT INTO databases VALUES ('db', 'default_database', 'default_tenant');
CREATE TABLE embeddings_queue (seq_id INTEGER PRIMARY KEY,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, operation INTEGER NOT NULL,
    topic TEXT NOT NULL, id TEXT NOT NULL, vector BLOB, encoding TEXT, metadata TEXT);
CREATE TABLE embeddings (id INTEGER PRIMARY KEY, segment_id TEXT NOT NULL,
    embedding_id TEXT NOT NULL, seq_id BLOB NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, UNIQUE (segment_id, embedding_id));
CREATE TABLE embedding_metadata (id INTEGER REFERENCES embeddings(id), key TEXT NOT NULL,
    string_value TEXT, int_value INTEGER, float_value REAL, bool_value INTEGER,
    PRIMARY KEY (id, key));
"""
_OLD = """
CREATE TABLE collections (id TEXT PRIMARY KEY, name TEXT NOT NULL, topic TEXT NOT NULL,
    dimension INTEGER, database_id TEXT NOT NULL, UNIQUE (name, database_id));
CREATE TABLE collection_metadata (collection_id TEXT, key TEXT NOT NULL, str_value TEXT,
    int_value INTEGER, float_value REAL, PRIMARY KEY (collection_id, key));
CREATE TABLE segments (id TEXT PRIMARY KEY, type TEXT NOT NULL, scope TEXT NOT NULL, topic TEXT,
    collection TEXT);
CREATE TABLE max_seq_id (segment_id TEXT PRIMARY KEY, seq_id BLOB NOT NULL);
"""
_NEW = """
CREATE TABLE collections (id TEXT PRIMARY KEY, name TEXT NOT NULL, dimension INTEGER,
    database_id TEXT NOT NULL, config_json_str TEXT, schema_str TEXT, UNIQUE (name, database_id));
CREATE TABLE collection_metadata (collection_id TEXT, key TEXT NOT NULL, str_value TEXT,
    int_value INTEGER, float_value REAL, bool_value INTEGER, PRIMARY KEY (collection_id, key));
CREATE TABLE segments (id TEXT PRIMARY KEY, type TEXT NOT NULL, scope TEXT NOT NULL,
    collection TEXT NOT NULL);
CREATE TABLE max_seq_id (segment_id TEXT PRIMARY KEY, seq_id INTEGER);
CREATE TABLE embeddings_queue_config (id INTEGER PRIMARY KEY, config_json_str TEXT);
CREATE TABLE maintenance_log (id INT PRIMARY KEY, timestamp INT, operation TEXT);
"""


def floats(values) -> bytes:
    """float32 bytes of a vector."""
    return array("f", values).tobytes()


class ChromaFiles:
    """A store in `folder`; `layout` is "0.4" or "1.x"."""

    def __init__(self, folder: Path, layout: str = "1.x") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.layout = folder, layout
        self.db = sqlite3.connect(folder / "chroma.sqlite3", isolation_level=None)
        # Each statement commits: a journal in a file for each took most of the time.
        self.db.execute("PRAGMA synchronous = OFF")
        self.db.execute("PRAGMA journal_mode = MEMORY")
        self.db.executescript(_COMMON + (_OLD if layout == "0.4" else _NEW))
        self.seq_id = 0

    def sequence(self, number: int) -> bytes | int:
        """A sequence number as the layout stores it."""
        return number.to_bytes(8, "big") if self.layout == "0.4" else number

    def collection(self, name: str, dimension: int | None = 4, space: str | None = None, **more):
        """A new collection; `space` goes into its metadata, as StillMe does."""
        return Made(self, name, dimension, space, **more)

    def close(self) -> Path:
        """Close the file; the folder."""
        self.db.close()
        return self.folder


class Made:
    """A collection of a store in the making."""

    def __init__(self, files, name, dimension, space, config="{}", schema=None) -> None:
        self.files, self.name, self.dimension = files, name, dimension
        self.space = space or "l2"
        self.id = str(uuid5(NAMESPACE_DNS, name))
        self.vectors, self.ids = f"v-{self.id}", f"m-{self.id}"
        self.topic = f"persistent://default/default/{self.id}"
        self.state: dict[str, bytes] = {}
        db, old = files.db, files.layout == "0.4"
        more = (self.topic,) if old else ()
        tail = () if old else (config, schema)
        values = (self.id, name, *more, dimension, "db", *tail)
        db.execute(f"INSERT INTO collections VALUES ({', '.join('?' * len(values))})", values)
        for scope, segment in (("VECTOR", self.vectors), ("METADATA", self.ids)):
            row = (segment, f"urn:{scope}", scope, *more, self.id)
            db.execute(f"INSERT INTO segments VALUES ({', '.join('?' * len(row))})", row)
        self.set_metadata("description", f"about {name}")
        if space:
            self.set_metadata("hnsw:space", space)

    def set_metadata(self, key: str, value: str) -> None:
        """A text in the collection's metadata."""
        self.files.db.execute(
            "INSERT INTO collection_metadata (collection_id, key, str_value) VALUES (?, ?, ?)",
            (self.id, key, value),
        )

    def write(
        self, operation, key, vector=None, document=None, metadata=None, *,
        encoding="FLOAT32", apply=True,
    ) -> int:  # fmt: skip
        """Queue an operation and, as Chroma soon does, bring the metadata tables up to it."""
        self.files.seq_id += 1
        content = dict(metadata or {})
        if document is not None:
            content["chroma:document"] = document
        blob = vector if vector is None or isinstance(vector, bytes) else floats(vector)
        self.files.db.execute(
            "INSERT INTO embeddings_queue (seq_id, operation, topic, id, vector, encoding,"
            " metadata) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self.files.seq_id, operation, self.topic, key, blob, encoding if blob else None,
             json.dumps(content) if content else None),
        )  # fmt: skip
        if apply:
            self.apply(operation, key, content)
        self._follow(operation, key, blob)
        return self.files.seq_id

    def _follow(self, operation, key, blob) -> None:
        if operation == DELETE:
            self.state.pop(key, None)
        elif blob is not None and operation != (ADD if key in self.state else UPDATE):
            self.state[key] = blob

    def apply(self, operation, key, content) -> None:
        """What Chroma does to its metadata tables."""
        db = self.files.db
        row = db.execute(
            "SELECT id FROM embeddings WHERE segment_id = ? AND embedding_id = ?", (self.ids, key)
        ).fetchone()
        number = self.files.sequence(self.files.seq_id)
        if operation == DELETE and row:
            db.execute("DELETE FROM embedding_metadata WHERE id = ?", row)
            db.execute("DELETE FROM embeddings WHERE id = ?", row)
        elif row is None and operation in (ADD, UPSERT):
            cursor = db.execute(
                "INSERT INTO embeddings (segment_id, embedding_id, seq_id) VALUES (?, ?, ?)",
                (self.ids, key, number),
            )
            self._put(cursor.lastrowid, content)
        elif row is not None and operation in (UPDATE, UPSERT):
            db.execute("UPDATE embeddings SET seq_id = ? WHERE id = ?", (number, row[0]))
            self._put(row[0], content)
        self.mark(self.ids, self.files.seq_id)

    def _put(self, row_id: int, content: dict) -> None:
        for key, value in content.items():
            columns = {bool: "bool_value", int: "int_value", float: "float_value"}
            column = columns.get(type(value), "string_value")
            # A NaN is stored as NULL by SQLite: the row has no value at all.
            self.files.db.execute(
                f"INSERT OR REPLACE INTO embedding_metadata (id, key, {column}) VALUES (?, ?, ?)",
                (row_id, key, value),
            )

    def mark(self, segment: str, seq_id: int) -> None:
        """The position up to which a segment has the queue."""
        self.files.db.execute(
            "INSERT OR REPLACE INTO max_seq_id VALUES (?, ?)",
            (segment, self.files.sequence(seq_id)),
        )

    def flush(self, *, purge: bool | None = None, deleted: dict[str, bytes] | None = None) -> Path:
        """Write the segment's files with the present state; 1.x then purges the queue."""
        old = self.files.layout == "0.4"
        folder = write_segment(
            self.files.folder / self.vectors, self.state, self.dimension, self.space,
            deleted or {}, self.files.seq_id if old else None,
        )  # fmt: skip
        if not old:
            self.mark(self.vectors, self.files.seq_id)
        if not old if purge is None else purge:
            self.files.db.execute(
                "DELETE FROM embeddings_queue WHERE topic = ? AND seq_id < ?",
                (self.topic, self.files.seq_id),
            )
        return folder


def write_segment(folder, state, dimension, space, deleted, max_seq_id) -> Path:
    """The four files of a segment; labels do not follow the order of the elements."""
    folder.mkdir(exist_ok=True)
    size = LINKS + 4 * dimension + 8
    elements = [(key, vector, False) for key, vector in state.items()]
    elements += [(None, vector, True) for vector in deleted.values()]
    count, capacity = len(elements), len(elements) + 3
    data, norms, labels = bytearray(capacity * size), array("f", [0.0] * capacity), {}
    for n, (key, vector, gone) in enumerate(elements):
        label = count - n
        unit, norms[n] = normalised(vector) if space == "cosine" else (vector, 1.0)
        start = n * size
        data[start + 2] = 1 if gone else 0
        data[start + LINKS : start + size] = unit + struct.pack("<Q", label)
        if key is not None:
            labels[key] = label
    header = struct.pack(
        "<i6QiI3QdQ", 1, 0, capacity, count, size, size - 8, LINKS, 0, 0, 16, 32, 16, 0.36, 100
    )
    (folder / "header.bin").write_bytes(header)
    (folder / "data_level0.bin").write_bytes(bytes(data))
    (folder / "length.bin").write_bytes(norms.tobytes())
    (folder / "link_lists.bin").write_bytes(b"")
    (folder / "index_metadata.pickle").write_bytes(label_pickle(labels, dimension, max_seq_id))
    return folder


def normalised(vector: bytes) -> tuple[bytes, float]:
    """Unit vector and norm, as hnswlib keeps a cosine element."""
    values = array("f", vector)
    norm = math.sqrt(sum(x * x for x in values))
    return array("f", [x / norm if norm else 0.0 for x in values]).tobytes(), norm


def label_pickle(labels: dict[str, int], dimension: int, max_seq_id: int | None) -> bytes:
    """The label map: a dict in 1.x, an object of Chroma's class in 0.4 (max_seq_id given)."""
    content = {
        "dimensionality": None if max_seq_id is None else dimension,
        "total_elements_added": len(labels),
        "max_seq_id": max_seq_id,
        "id_to_label": labels,
        "label_to_id": {label: key for key, label in labels.items()},
        "id_to_seq_id": {},
    }
    if max_seq_id is None:
        return pickle.dumps(content)
    module, name = b"chromadb.segment.impl.vector.local_persistent_hnsw", b"PersistentData"
    # What pickling an object of that class gives: look the class up, make one, set its attributes.
    # Protocol 2 has no frames, so the pickled dict can stand in the middle.
    made = b"".join(b"\x8c" + bytes([len(text)]) + text for text in (module, name)) + b"\x93)\x81"
    return b"\x80\x05" + made + pickle.dumps(content, 2)[2:-1] + b"b."
