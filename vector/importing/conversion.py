"""From an item of the store to a row of the target: loaded, repaired, or set aside.

Metadata values that jsonb cannot hold are replaced and the original is kept whole next to the row;
a document or id that PostgreSQL's text cannot hold sets the row aside.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from stillme.transfer.plumbing.stored_cells import pack_cell
from vector.chroma import Collection, Item, Problem
from vector.chroma.records import Scalar, Value
from vector.fields import LONGEST_ID, MetadataEncoder
from vector.importing.binary_rows import row_bytes, stamp

TABLES = "vector_db"
# What may make a JSON text something that jsonb refuses or changes; seldom there. NaN and the
# infinities are printed as null.
_NEEDS_CARE = re.compile(rb"\\u0000|null|-0\.0|\de[+\d]").search
_to_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Kept:
    """The original of a repaired cell, as text."""

    column: str
    value: str
    reason: str


@dataclass(slots=True)
class Ready:
    """A row for COPY and what is kept next to it."""

    key: str
    row: bytes
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class Aside:
    """A record for the quarantine. `number` tells records without an id apart."""

    key: str | None
    number: int | None
    reason: str
    column: str
    sentence: str
    cells: dict[str, list[Any]] = field(default_factory=dict)


def legacy_table(collection: Collection) -> str:
    """The name under which a collection stands in ledger, quarantine and kept cells."""
    return table_name(collection.tenant, collection.database, collection.name)


def table_name(tenant: str, database: str, name: str) -> str:
    """The same, of a collection's place and name."""
    if (tenant, database) == ("default_tenant", "default_database"):
        return f"{TABLES}.{name}"
    return f"{TABLES}.{tenant}/{database}/{name}"


def convert(collection_pk: int, collection: Collection, item: Item) -> Ready | Aside:
    """The target row of an item."""
    for column, text in (("embedding_id", item.embedding_id), ("document", item.document)):
        if text is not None and "\0" in text:
            what = f"its {column} has a NUL, which PostgreSQL's text cannot hold"
            return set_item_aside(collection, item, "nul_in_text", column, what)
    key = item.embedding_id.encode()
    if len(key) > LONGEST_ID:
        what = f"its id is longer than {LONGEST_ID} bytes, which no index entry holds"
        return set_item_aside(collection, item, "id_too_long", "embedding_id", what)
    metadata, reason = metadata_text(item.metadata)
    if metadata is None:
        what = "two metadata keys are the same once what PostgreSQL cannot hold is replaced"
        return set_item_aside(collection, item, reason, "metadata", what)
    kept = [Kept("metadata", original_json(item.metadata), reason)] if reason else []
    try:
        created = stamp(item.created_at)
    except ValueError:
        created = None
        kept.append(Kept("created_at", str(item.created_at), "unreadable_time"))
    row = row_bytes(
        collection_pk, key, item.document, metadata, item.vector, item.origin.value,
        created, item.seq_id,
    )  # fmt: skip
    return Ready(item.embedding_id, row, tuple(kept))


def metadata_text(metadata: Mapping[str, Value | None]) -> tuple[str | None, str]:
    """The JSON for the target and the reason why it is not the same; None where there is none."""
    try:
        quick = orjson.dumps(metadata)
    except orjson.JSONEncodeError:
        # An integer beyond 64 bits, half of a surrogate pair: the slow way knows.
        quick = b"null"
    if not _NEEDS_CARE(quick):
        return quick.decode(), ""
    changed, reason = jsonable(metadata)
    return (None if changed is None else MetadataEncoder().encode(changed)), reason


def jsonable(metadata: Mapping[str, Value | None]) -> tuple[dict[str, Any] | None, str]:
    """What jsonb can hold of `metadata`, and the reason why it is not the same ('' if it is)."""
    reason = ""
    changed: dict[str, Any] = {}
    for key, value in metadata.items():
        new: Any
        if isinstance(value, list):
            pairs = [_holdable(each) for each in value]
            new = [each for each, _ in pairs]
            why = "".join([each for _, each in pairs if each][-1:])
        else:
            new, why = _holdable(value)
        reason = why or reason
        if "\0" in key:
            key, reason = key.replace("\0", "\ufffd"), "bad_escape"
        if key in changed:
            return None, "duplicate_keys"
        changed[key] = new
    return changed, reason


def _holdable(value: Scalar | None) -> tuple[Scalar | None, str]:
    if isinstance(value, float) and not math.isfinite(value):
        return None, "not_finite"
    if isinstance(value, float) and value == 0 and math.copysign(1, value) < 0:
        # numeric has no negative zero.
        return 0.0, "negative_zero"
    if isinstance(value, str) and "\0" in value:
        return value.replace("\0", "\ufffd"), "bad_escape"
    return value, ""


def original_json(metadata: Mapping[str, Value | None]) -> str:
    """The metadata as Python's JSON, which also has NaN, Infinity and NUL."""
    return _to_json(metadata)


def set_item_aside(
    collection: Collection, item: Item, reason: str, column: str, what: str
) -> Aside:
    """A whole item for the quarantine."""
    text = {
        "collection_id": collection.id,
        "embedding_id": item.embedding_id,
        "document": item.document,
        "metadata": original_json(item.metadata),
        "origin": item.origin.value,
        "created_at": item.created_at,
    }
    cells = {name: _text_cell(value) for name, value in text.items()}
    cells["vector"] = pack_cell("blob", item.vector)
    cells["seq_id"] = pack_cell("integer", item.seq_id)
    key = item.embedding_id.replace("\0", "\\x00")
    sentence = f"Collection {collection.name}, id {key}: {what}."
    return Aside(key, None, reason, column, sentence, cells)


def set_problem_aside(collection: Collection, problem: Problem) -> Aside | None:
    """A problem for the quarantine; None for one that is about a whole segment."""
    label = problem.raw.get("label")
    if problem.embedding_id is None and label is None:
        return None
    cells = {"collection_id": _text_cell(collection.id)}
    for name, value in problem.raw.items():
        cells[name] = _cell(name, value)
    key = problem.embedding_id
    return Aside(
        None if key is None else key.replace("\0", "\\x00"),
        label if isinstance(label, int) else None,
        problem.reason.value,
        "embedding",
        problem.sentence.replace("\0", "\\x00"),
        cells,
    )


def _text_cell(value: str | None) -> list[Any]:
    if value is None:
        return ["null", None]
    return ["text", base64.b64encode(value.encode("utf-8", "surrogateescape")).decode("ascii")]


def _cell(name: str, value: object) -> list[Any]:
    if name == "vector":
        return pack_cell("blob", bytes.fromhex(str(value)))
    if isinstance(value, int):
        return pack_cell("integer", value)
    if isinstance(value, dict):
        return _text_cell(original_json(value))
    return _text_cell(None if value is None else str(value))
