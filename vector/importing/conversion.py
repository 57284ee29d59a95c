"""From an item of the store to a row of the target: loaded, repaired, or set aside.

Metadata values that jsonb cannot hold are replaced and the original is kept whole next to the row;
a document or id that PostgreSQL's text cannot hold sets the row aside.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from stillme.transfer.models import KeptCell, QuarantinedRow
from stillme.transfer.plumbing.stored_cells import pack_cell
from vector.chroma import Collection, Item, Problem
from vector.chroma.records import Scalar, Value
from vector.fields import LONGEST_ID, MetadataEncoder
from vector.importing.binary_rows import row_bytes, stamp
from vector.names import FILE

# What may make a JSON text something that jsonb refuses or changes; seldom there. NaN and the
# infinities are printed as null.
_NEEDS_CARE = re.compile(rb"\\u0000|null|-0\.0|\de[+\d]").search
# Metadata as Python's JSON, which also has NaN, Infinity and NUL.
original_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(slots=True)
class Ready:
    """A row for COPY, and the originals of its repaired cells."""

    key: str
    row: bytes
    kept: list[KeptCell] = field(default_factory=list)


def convert(collection_pk: int, collection: Collection, item: Item) -> Ready | QuarantinedRow:
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
    originals = [("metadata", original_json(item.metadata), reason)] if reason else []
    try:
        created = stamp(item.created_at)
    except ValueError:
        created = None
        originals.append(("created_at", str(item.created_at), "unreadable_time"))
    row = row_bytes(
        collection_pk, key, item.document, metadata, item.vector, item.origin.value,
        created, item.seq_id,
    )  # fmt: skip
    kept = [original(collection.table, item.embedding_id, *each) for each in originals]
    return Ready(item.embedding_id, row, kept)


def original(table: str, key: str, column: str, text: str, reason: str) -> KeptCell:
    """The record of the original of a repaired cell, not saved."""
    return KeptCell(
        file=FILE, table=table, key=key, column=column, storage="text", value=text.encode(),
        reason=reason,
    )  # fmt: skip


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


def set_item_aside(
    collection: Collection, item: Item, reason: str, column: str, what: str
) -> QuarantinedRow:
    """A whole item for the quarantine."""
    sentence = f"Collection {collection.name}, id {item.embedding_id}: {what}."
    return _record(collection, item.embedding_id, None, reason, column, sentence, item.raw)


def set_problem_aside(collection: Collection, problem: Problem) -> QuarantinedRow | None:
    """A problem for the quarantine; None for one that is about a whole segment."""
    key, label = problem.embedding_id, problem.raw.get("label")
    if key is None and label is None:
        return None
    reason, sentence = problem.reason.value, problem.sentence
    return _record(collection, key, label, reason, "embedding", sentence, problem.raw)


def _record(
    collection: Collection,
    key: str | None,
    number: object,
    reason: str,
    column: str,
    sentence: str,
    raw: Mapping[str, object],
) -> QuarantinedRow:
    """A record, not saved. `number` tells records without an id apart."""
    cells = {name: _cell(value) for name, value in {"collection_id": collection.id, **raw}.items()}
    return QuarantinedRow(
        file=FILE, table=collection.table, key=None if key is None else _without_nul(key),
        rowid=number if isinstance(number, int) else None, reason=reason, column=column,
        sentence=_without_nul(sentence), cells=cells,
    )  # fmt: skip


def _without_nul(text: str) -> str:
    return text.replace("\0", "\\x00")


def _cell(value: object) -> list[Any]:
    if value is None:
        return pack_cell("null", None)
    if isinstance(value, int):
        return pack_cell("integer", value)
    if isinstance(value, bytes):
        return pack_cell("blob", value)
    text = original_json(value) if isinstance(value, dict) else str(value)
    return pack_cell("text", text.encode("utf-8", "surrogateescape"))
