"""The judge's own reading of the target side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections

from stillme.transfer import kinds
from stillme.transfer.mapping import EXTRA_COLUMN, TableMapping
from stillme.transfer.verify.legacy_side import is_text_key

# Stands for an infinite time, which no legacy value means.
_NEVER = 2**63 - 1


def select(alias: str, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, list(values) or None)
        return list(cursor.fetchall())


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class TargetSide:
    """Reads one target table."""

    def __init__(self, alias: str, mapping: TableMapping, line: str) -> None:
        self._alias = alias
        self._mapping = mapping
        self._line = line
        key = _q(mapping.key.target) if mapping.key else "NULL"
        self._key = f'{key} COLLATE "C"' if is_text_key(mapping) else key
        self._array = "text[]" if is_text_key(mapping) else "bigint[]"

    def _range(self, after: Any, upto: Any) -> tuple[str, list[Any]]:
        tests, values = [], []
        if after is not None:
            tests.append(f"{self._key} > %s")
            values.append(after)
        if upto is not None:
            tests.append(f"{self._key} <= %s")
            values.append(upto)
        return " AND ".join(tests) or "TRUE", values

    def digest(self, after: Any, upto: Any, without: Sequence[Any]) -> tuple[int, str]:
        """(rows, SHA-256 of their lines in key order) of a key range, some keys left out."""
        where, values = self._range(after, upto)
        if without:
            where += f" AND {self._key} <> ALL(%s::{self._array})"
            values.append(list(without))
        rows, digest = select(
            self._alias,
            "SELECT count(*), encode(sha256(convert_to(coalesce(string_agg(line, ''), ''), "
            f"'UTF8')), 'hex') FROM (SELECT {self._line} AS line FROM {self._mapping.relation} "
            f"WHERE {where} ORDER BY {self._key}) AS lines",
            values,
        )[0]
        return rows, digest

    def next_keys(self, after: Any, limit: int) -> list[Any]:
        """The next keys above `after`, in order."""
        if self._mapping.key is None:
            return []
        where, values = self._range(after, None)
        found = select(
            self._alias,
            f"SELECT {_q(self._mapping.key.target)} FROM {self._mapping.relation} "
            f"WHERE {where} ORDER BY {self._key} LIMIT {limit}",
            values,
        )
        return [row[0] for row in found]

    def keys(self, after: Any, upto: Any) -> list[Any]:
        """The keys of a range."""
        where, values = self._range(after, upto)
        key = _q(self._mapping.key.target) if self._mapping.key else "NULL"
        found = select(
            self._alias, f"SELECT {key} FROM {self._mapping.relation} WHERE {where}", values
        )
        return [row[0] for row in found]

    def rows(self, keys: Sequence[Any]) -> dict[str, dict[str, Any]]:
        """Key as text -> target column -> value as the judge compares it."""
        if not keys or self._mapping.key is None:
            return {}
        names, parts = self._columns()
        found = select(
            self._alias,
            f"SELECT {_q(self._mapping.key.target)}::text, {', '.join(parts)} "
            f"FROM {self._mapping.relation} WHERE {_q(self._mapping.key.target)} "
            f"= ANY(%s::{self._array})",
            [list(keys)],
        )
        return {row[0]: dict(zip(names, map(_plain, row[1:]), strict=True)) for row in found}

    def _columns(self) -> tuple[list[str], list[str]]:
        names: list[str] = []
        parts: list[str] = []
        for column in self._mapping.columns:
            names.append(column.target)
            parts.append(_comparable(column.kind, _q(column.target)))
        for name in (*(n for n, _ in self._mapping.derived), *self._mapping.nulls, EXTRA_COLUMN):
            names.append(name)
            parts.append(f"{_q(name)}::text")
        return names, parts


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def _comparable(kind: kinds.Kind, name: str) -> str:
    match kind:
        case kinds.Real():
            return f"float8send({name})"
        case kinds.Json():
            return f"{name}::text"
        case kinds.Timestamp() | kinds.Date():
            # Exact: extract() answers numeric, and timestamptz counts whole microseconds.
            exact = f"(extract(epoch FROM {name}) * 1000000)::bigint"
            return (
                f"CASE WHEN isfinite({name}) THEN {exact} WHEN {name} IS NOT NULL THEN {_NEVER} END"
            )
    return name
