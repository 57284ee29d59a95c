"""What a key is: the values that name one row, each with the storage class that SQLite keeps.

One type for the loader, the judge, the follower, the quarantine and the console. The key of row 7
of `knowledge_items` is ``Key((("integer", 7),))``, that of a row of `tier_metrics`
``Key((("text", b"a1"),))``; a key of two columns has two parts. 7, '7' and 7.0 are three keys:
SQLite can store them all in one column. A table's `KeyColumns` say which of them the target can
hold, and what a text in the ledger means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import total_ordering
from typing import Any
from uuid import UUID

from stillme.services.arguments import whole_key as whole_key
from stillme.visible import in_one_line

Raw = None | int | float | bytes
# A storage class and a value; text is its bytes, so that text that is not UTF-8 is a key, too.
Part = tuple[str, Raw]

_CLASSES = {type(None): "null", int: "integer", float: "real", bytes: "blob"}
# SQLite's order: NULL, numbers by value, text by bytes, blobs.
_ORDER = {"null": 0, "integer": 1, "real": 1, "text": 2, "blob": 3}


@total_ordering
@dataclass(frozen=True, slots=True)
class Key:
    """One or more parts, in the order of the key's columns. Compared as SQLite orders rows."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, *values: int | float | str | bytes | UUID | None) -> Key:
        """The key of Python's values: str is text, bytes are a blob, a UUID is its 32 digits."""
        if len(values) == 1 and type(values[0]) is int:
            # Most keys are; there is one for each row that is repaired.
            return cls((("integer", values[0]),))
        return cls(tuple(_part(value) for value in values))

    @classmethod
    def of_pk(cls, pk: Any) -> Key:
        """The key of a model's instance: Django gives a tuple for several columns."""
        return cls.of(*(pk if isinstance(pk, tuple) else (pk,)))

    @classmethod
    def of_flat(cls, cells: Sequence[object]) -> Key:
        """The key of a row of ``storage, value, storage, value``, as `legacy_parts` selects it."""
        return cls(tuple(zip(cells[::2], cells[1::2], strict=True)))  # type: ignore[arg-type]

    def __lt__(self, other: Key) -> bool:
        """Whether SQLite sorts it before the other one."""
        return self._order < other._order

    @property
    def _order(self) -> tuple[tuple[int, int | float | bytes, str], ...]:
        # The class last: 1 and 1.0 sort as equals in SQLite, and are two keys.
        return tuple((_ORDER[s], 0 if raw is None else raw, s) for s, raw in self.parts)

    @property
    def is_null(self) -> bool:
        """Whether a part is NULL: such a row has no key."""
        return any(storage == "null" for storage, _ in self.parts)

    @property
    def is_whole(self) -> bool:
        """Whether it is one integer."""
        return len(self.parts) == 1 and self.parts[0][0] == "integer"

    @property
    def values(self) -> tuple[int | str, ...]:
        """What PostgreSQL is given. For a key that the target can hold (`KeyColumns.in_target`)."""
        return tuple(r.decode() if isinstance(r, bytes) else r for _, r in self.parts)  # type: ignore[misc]

    @property
    def bindings(self) -> tuple[tuple[str, Raw | str], ...]:
        """A mark and a parameter of a SQLite statement for each part."""
        return tuple(_binding(storage, raw) for storage, raw in self.parts)

    def spelled(self) -> str | None:
        """As ledger and quarantine record it: ``7``, ``a1``, of several columns ``[7, "a1"]``.

        Of one column it is the text that PostgreSQL makes of the value, and so `KeyColumns.parse`
        reads it back for every key that the target can hold. What it cannot hold (a blob, say) is
        spelled for people: its record holds the stored cells. None for NULL.
        """
        if len(self.parts) > 1:
            return json.dumps([_in_list(*part) for part in self.parts], ensure_ascii=False)
        return None if self.is_null else _text(self.parts[0][1])

    def __str__(self) -> str:
        """As in a message."""
        return self.shown()

    def shown(self) -> str:
        """For a terminal or a page: nothing in it moves what is shown."""
        return in_one_line(self.spelled() or "NULL")


def spelled_keys(keys: Iterable[Key]) -> list[str]:
    """The spellings of keys that are not NULL."""
    return [text for key in keys if (text := key.spelled()) is not None]


def bound_to_json(bound: Key | None) -> object:
    """As the ledger keeps the bound of a range: the value of one column, a list of several."""
    if bound is None:
        return None
    return bound.values[0] if len(bound.parts) == 1 else list(bound.values)


def bound_from_json(kept: Any) -> Key | None:
    """The inverse of `bound_to_json`; None is no bound."""
    if kept is None:
        return None
    return Key.of(*(kept if isinstance(kept, list) else [kept]))


def _part(value: Any) -> Part:
    if isinstance(value, UUID):
        return "text", value.hex.encode()
    if isinstance(value, str):
        return "text", value.encode("utf-8", "surrogatepass")
    return _CLASSES[type(value)], value


def _binding(storage: str, raw: Raw) -> tuple[str, Raw | str]:
    if storage != "text" or not isinstance(raw, bytes):
        return "?", raw
    try:
        return "?", raw.decode()
    except UnicodeDecodeError:
        # sqlite3 binds no text that is not UTF-8.
        return "CAST(? AS TEXT)", raw


def _text(raw: Raw) -> str:
    """A value's text, as PostgreSQL can hold it: it has no U+0000."""
    if isinstance(raw, bytes):
        return raw.decode("utf-8", "replace").replace("\0", "\ufffd")
    return str(raw)


def _in_list(storage: str, raw: Raw) -> object:
    """A part of several, without loss: what JSON has no value for is spelled in hexadecimals."""
    if storage in ("null", "integer"):
        return raw
    if isinstance(raw, float):
        return {"real": raw.hex()}
    assert isinstance(raw, bytes)
    if storage == "text":
        with suppress(UnicodeDecodeError):
            return raw.decode()
    return {storage: raw.hex()}


def listed_key(text: str) -> Key | None:
    """The key of several columns that is spelled so; None where the text spells none."""
    try:
        found = json.loads(text)
        return Key(tuple(map(_from_list, found))) if isinstance(found, list) else None
    except (ValueError, TypeError, AttributeError):
        return None


def _from_list(value: object) -> Part:
    if isinstance(value, dict):
        ((storage, spelled),) = value.items()
        return storage, float.fromhex(spelled) if storage == "real" else bytes.fromhex(spelled)
    if isinstance(value, bool) or not isinstance(value, int | str | None):
        raise ValueError(value)
    return _part(value)


def real_key(text: str) -> float | None:
    """The real whose `repr` this is, as which a text key that is stored as a real is loaded.

    SQLite's CAST spells many reals otherwise: 1.0e+16 for 1e+16.
    """
    try:
        number = float(text)
    except ValueError:
        return None
    return number if repr(number) == text else None


def numbers_array(keys: Iterable[Key | tuple[Any, ...]]) -> str:
    """PostgreSQL's literal of an array of keys that are integers: ``{1,2}``.

    Of a list psycopg looks at each element; with thousands of keys a block it was a tenth of the
    verification of repaired rows.
    """
    numbers = (str(key.parts[0][1] if isinstance(key, Key) else key[0]) for key in keys)
    return f"{{{','.join(numbers)}}}"


def logged_key(logged: Key) -> Key:
    """The key of several columns that capture logged as one text (`quoting.logged_part`)."""
    ((_, text),) = logged.parts
    return Key(tuple(map(_of_log, str(text, "ascii").split(" "))))  # type: ignore[arg-type]


def _of_log(text: str) -> Part:
    storage, value = text.split(":")
    if storage == "integer":
        return storage, int(value)
    if storage == "real":
        return storage, float(value)
    return storage, None if storage == "null" else bytes.fromhex(value)
