"""Keys of any storage class, read without tripping over text that is not UTF-8."""

from __future__ import annotations

Key = None | int | float | str | bytes


def key_sql(column: str) -> str:
    """SQL for a (quoted) key column whose text comes as bytes."""
    return f"CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END"


def stored_key(storage: str, raw: Key) -> Key:
    """The key of a stored value with its storage class; a blob stays bytes, even if it is text."""
    return typed_key(raw) if storage == "text" else raw


def only_reads_like_one(key: Key) -> bool:
    """Whether it is no key that the target can have: a blob, not UTF-8, or with U+0000 in it."""
    return isinstance(key, bytes) or (isinstance(key, str) and "\0" in key)


def typed_key(key: Key) -> Key:
    """A key read with `key_sql`: text as str where it is UTF-8."""
    if not isinstance(key, bytes):
        return key
    try:
        return key.decode("utf-8")
    except UnicodeDecodeError:
        return key
