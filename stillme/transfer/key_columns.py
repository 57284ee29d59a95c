"""The columns of a table's key, and the SQL that asks both sides about them.

Every statement that selects, compares, orders or joins by key gets that part here, be the key one
column or several. For a key of `id`::

    keys.legacy("t")               t."id"
    keys.legacy_within(5, 9)       "id" > ? AND "id" <= ?
    keys.target_among([1, 2])      "id" = ANY(%s::bigint[])

and for a key of `day` and `name`::

    keys.legacy("t")               t."day", t."name"
    keys.target_among([...])       ("day", "name") IN (SELECT * FROM unnest(...))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stillme.transfer.keys import (
    Key,
    listed_key,
    logged_key,
    numbers_array,
    real_key,
    whole_key,
)
from stillme.transfer.mapped_column import MappedColumn, held_part
from stillme.transfer.plumbing.quoting import each, equal, logged_part, stored_part
from stillme.transfer.plumbing.quoting import row as row_of

Condition = tuple[str, list[Any]]


@dataclass(frozen=True, slots=True)
class KeyColumns:
    """The key's columns in their order; none (and false) where the file's table has no key.

    Methods take the name or alias of the table where a column must be qualified.
    """

    columns: tuple[MappedColumn, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is a key."""
        return bool(self.columns)

    def __iter__(self) -> Iterator[MappedColumn]:
        """The columns."""
        return iter(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the legacy columns."""
        return tuple(column.legacy for column in self.columns)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the target columns."""
        return tuple(column.target for column in self.columns)

    @property
    def is_whole(self) -> bool:
        """Whether the key is one integer column."""
        return len(self.columns) == 1 and not self.columns[0].holds_text

    @property
    def is_single(self) -> bool:
        """Whether the key is one column: then other tables may refer to it."""
        return len(self.columns) == 1

    @property
    def holds_text(self) -> bool:
        """Whether a column holds text, which the two sides may order otherwise."""
        return any(column.holds_text for column in self.columns)

    # The legacy side.

    def legacy(self, table: str = "") -> str:
        """The columns, for a select list or an ORDER BY."""
        return ", ".join(each(self.names, table))

    def legacy_parts(self, table: str = "") -> str:
        """The columns as `Key.of_flat` reads them: each one's storage class and value."""
        return ", ".join(map(stored_part, each(self.names, table)))

    def legacy_null(self, table: str = "") -> str:
        """Whether a row has no key."""
        return f"({' OR '.join(f'{name} IS NULL' for name in each(self.names, table))})"

    def legacy_usual(self, table: str = "") -> str:
        """Whether each part has the storage class of a usual key."""
        classes = ("text" if column.holds_text else "integer" for column in self.columns)
        names = each(self.names, table)
        return " AND ".join(f"typeof({n}) = '{c}'" for n, c in zip(names, classes, strict=True))

    def legacy_same(self, one: str, other: str) -> str:
        """Whether two rows have the same key."""
        return equal(each(self.names, one), each(self.names, other))

    def legacy_is(self, key: Key, table: str = "", sought: str = "") -> Condition:
        """Whether a row has that key, NULL too. SQLite takes 7 for 7.0 here, as it compares.

        With `sought` "+" no index is used, as one whose order this SQLite does not know would lie.
        """
        tests, values = [], []
        for name, (mark, value) in zip(each(self.names, table), key.bindings, strict=True):
            tests.append(f"{sought}{name} " + ("IS NULL" if value is None else f"= {mark}"))
            values += [] if value is None else [value]
        return " AND ".join(tests), values

    def legacy_among(self, keys: Sequence[Key], table: str = "") -> Condition:
        """Whether a row has one of the keys, none of which is NULL."""
        marks = ", ".join(map(_marks, keys))
        values = [value for key in keys for _, value in key.bindings]
        several = self._several("VALUES ")
        return f"{row_of(each(self.names, table))} IN ({several if keys else ''}{marks})", values

    def legacy_exactly(self, key: Key) -> Condition:
        """Whether a row has that very key, whatever the column's affinity and collation."""
        tests, values = [], []
        for name, (storage, _), binding in zip(
            each(self.names, ""), key.parts, key.bindings, strict=True
        ):
            # The first comparison is the index's, the second has no collation but the bytes.
            tests.append(f"typeof({name}) = '{storage}' AND {name} IS {binding[0]}")
            tests.append(f"{name} IS {binding[0]} COLLATE BINARY")
            values += [binding[1], binding[1]]
        return " AND ".join(tests), values

    def legacy_logged(self, row: str) -> str:
        """The key of the row NEW or OLD as capture logs it: as it is, of several parts a text."""
        names = each(self.names, row)
        return names[0] if len(names) == 1 else " || ' ' || ".join(map(logged_part, names))

    def of_log(self, logged: Key) -> Key:
        """The key that the log has so; the inverse of `legacy_logged`."""
        return logged if self.is_single else logged_key(logged)

    def legacy_differs(self, one: str, other: str) -> str:
        """Whether two rows have other keys, compared by their bytes; NULL is a value."""
        pairs = zip(each(self.names, one), each(self.names, other), strict=True)
        tests = " OR ".join(f"{a} COLLATE BINARY IS NOT {b}" for a, b in pairs)
        return tests if self.is_single else f"({tests})"

    def legacy_within(
        self, after: Key | None, upto: Key | None, table: str = "", *, nulls: bool = True
    ) -> Condition:
        """Whether ``after < key <= upto``; None is no bound. NULL is in the first range.

        A rowid is never NULL: without `nulls` SQLite stops at the range's end, with them it would
        go through the whole table.
        """
        row, null = row_of(each(self.names, table)), self.legacy_null(table)
        tests, values = [], []
        if after is not None:
            # (1, NULL) > (0, 5) holds, and a row with a NULL is in the first range already.
            tests.append(f"{row} > {_marks(after)}" + self._several(f" AND NOT {null}"))
            values += [value for _, value in after.bindings]
        if upto is not None:
            upper = f"{row} <= {_marks(upto)}"
            tests.append(f"({upper} OR {null})" if nulls and after is None else upper)
            values += [value for _, value in upto.bindings]
        return " AND ".join(tests) or "1", values

    def of_cells(self, cells: Mapping[str, tuple[str, Any]]) -> Key:
        """The key of a stored row."""
        return Key(tuple(cells[name] for name in self.names))

    # The target side.

    def target(self, table: str = "") -> str:
        """The columns as `Key.of` reads them, for a select list."""
        names = each(self.targets, table)
        return ", ".join(c.shown(name) for c, name in zip(self.columns, names, strict=True))

    def target_names(self, table: str = "") -> str:
        """The columns themselves, for an index and an order."""
        return ", ".join(each(self.targets, table))

    def target_text(self, table: str = "") -> str:
        """The key as the ledger spells it (`Key.spelled`)."""
        shown = self.target(table)
        return f"{shown}::text" if len(self.columns) == 1 else f"json_build_array({shown})::text"

    def target_order(self, table: str = "") -> str:
        """The columns in SQLite's order: text by its bytes."""
        return ", ".join(self._by_bytes(table))

    def target_null(self, table: str) -> str:
        """Whether an outer join found no row of that table."""
        return f"{each(self.targets, table)[0]} IS NULL"

    def target_same(self, one: str, other: str) -> str:
        """Whether two rows have the same key."""
        return equal(each(self.targets, one), each(self.targets, other))

    def target_among(self, keys: Iterable[Key | tuple[Any, ...]], table: str = "") -> Condition:
        """Whether a row has one of the keys, by the index. Rows of a SELECT may stand for keys."""
        if self.is_whole:
            name = each(self.targets, table)[0]
            return f"{name} = ANY(%s::{self.columns[0].array})", [numbers_array(keys)]
        rows = [key.values if isinstance(key, Key) else key for key in keys]
        values: list[Any] = [[row[n] for row in rows] for n in range(len(self.columns))]
        arrays = ", ".join(f"%s::{c.array}" for c in self.columns)
        names = each(self.targets, table)
        if len(names) == 1:
            return f"{names[0]} = ANY({arrays})", values
        return f"{row_of(names)} IN (SELECT * FROM unnest({arrays}))", values

    def spelled_array(self, keys: Iterable[Key]) -> Any:
        """The keys as the ledger spells them, for ``= ANY(%s::text[])``."""
        if self.is_whole:
            return numbers_array(keys)
        return [key.spelled() for key in keys]

    def target_within(self, after: Key | None, upto: Key | None, table: str = "") -> Condition:
        """Whether ``after < key <= upto`` in SQLite's order; None is no bound."""
        row = row_of(self._by_bytes(table))
        marks = row_of(["%s::uuid" if c.is_uuid else "%s" for c in self.columns])
        bounds = [
            (sign, bound) for sign, bound in ((">", after), ("<=", upto)) if bound is not None
        ]
        tests = [f"{row} {sign} {marks}" for sign, _ in bounds]
        return " AND ".join(tests) or "TRUE", [v for _, bound in bounds for v in bound.values]

    def in_target(self, key: Key) -> Key | None:
        """The key as the target holds it; None where it cannot hold it.

        A number in a text column is loaded as its text: 5 as ``5``, 1e16 as ``1e+16``. Nothing
        but an integer is an integer key.
        """
        if self.is_whole:
            return key if key.is_whole else None
        if not self.columns:
            return None
        parts = [held_part(c, *part) for c, part in zip(self.columns, key.parts, strict=True)]
        found = tuple(part for part in parts if part is not None)
        return Key(found) if len(found) == len(parts) else None

    def held(self, keys: Iterable[Key]) -> list[Key]:
        """Those that the target can hold, as it holds them."""
        if self.is_whole:
            return [key for key in keys if key.is_whole]
        return [held for key in keys if (held := self.in_target(key)) is not None]

    def parse(self, text: str | None) -> Key | None:
        """The target's key that is spelled so; None where the text spells none of this table's."""
        if text is None or not self.columns:
            return None
        if len(self.columns) > 1:
            key = listed_key(text)
            fits = key is not None and len(key.parts) == len(self.columns)
            return key if fits and key is not None and self.in_target(key) == key else None
        if self.columns[0].holds_text:
            return self.in_target(Key.of(text))
        number = whole_key(text)
        # Not `Key.of`: every key of a quarantine may come here.
        return None if number is None else Key((("integer", number),))

    def readings(self, text: str) -> list[Key]:
        """Every stored key that is spelled so: 7 as well as '7', where there is one column."""
        if len(self.columns) > 1:
            key = listed_key(text)
            return [] if key is None else [key]
        readings = (whole_key(text), real_key(text), text, text.encode())
        return [Key.of(value) for value in readings if value is not None]

    def referred(self, texts: Iterable[str | None]) -> tuple[int | str, ...]:
        """What references to rows of these keys hold. For a key of one column."""
        return tuple(sorted(value for (value,) in self.values_of(texts)))

    def values_of(self, texts: Iterable[str | None]) -> set[tuple[int | str, ...]]:
        """The values of the keys of `parsed`; without a `Key` for each where they are integers."""
        if not self.is_whole:
            return {key.values for key in self.parsed(texts)}
        numbers = (whole_key(text) for text in texts if text is not None)
        return {(number,) for number in numbers if number is not None}

    def parsed(self, texts: Iterable[str | None]) -> list[Key]:
        """The keys of those texts that spell one of the table's."""
        return [key for key in map(self.parse, texts) if key is not None]

    def _by_bytes(self, table: str) -> list[str]:
        names = zip(each(self.targets, table), self.columns, strict=True)
        # PostgreSQL orders UUIDs as SQLite orders their digits.
        is_text = [c.holds_text and not c.is_uuid for c in self.columns]
        return [
            f'{name} COLLATE "C"' if text else name
            for (name, _), text in zip(names, is_text, strict=True)
        ]

    def _several(self, sql: str) -> str:
        return sql if len(self.columns) > 1 else ""


def _marks(key: Key) -> str:
    return row_of([mark for mark, _ in key.bindings])
