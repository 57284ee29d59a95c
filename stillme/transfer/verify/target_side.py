"""The judge's own reading of the target side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db import connections

from stillme.transfer import kinds
from stillme.transfer.identity import OF_TABLE
from stillme.transfer.mapping import TableMapping
from stillme.transfer.quoting import quoted as _q
from stillme.transfer.verify.huge_text import of_target, target_names, target_parts
from stillme.transfer.verify.legacy_side import BlockContent, is_text_key
from stillme.transfer.verify.lines import Lines
from stillme.transfer.verify.target_block import read_block
from stillme.transfer.verify.unfilled import told

# Stands for an infinite time, which no legacy value means.
_NEVER = 2**63 - 1
# A key of the ledger that spells a 64-bit integer; what is cast to one must be asked first.
_WHOLE = (
    "CASE WHEN key ~ '^-?[0-9]{1,18}$' THEN TRUE WHEN key ~ '^-?[0-9]{19}$' "
    "THEN key::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 ELSE FALSE END"
)
# Marks the digest of a text column among the columns: no name of PostgreSQL ends so.
_HUGE = "\0huge"


def select(alias: str, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Rows of a query."""
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, list(values) or None)
        return list(cursor.fetchall())


class TargetSide:
    """Reads one target table; its blocks by `lines`, and then huge texts by their digests."""

    def __init__(self, alias: str, mapping: TableMapping, lines: Lines | None = None) -> None:
        self._alias = alias
        self._mapping = mapping
        self._lines = lines
        self._huge = target_names(mapping) if lines else set()
        # Keys, as text, of which `rows` last found several rows, and how many.
        self.repeated: dict[str, int] = {}
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

    def block(
        self, after: Any, upto: Any, without: Sequence[Any]
    ) -> tuple[BlockContent, tuple[bytes, ...]]:
        """The content of a key range, some keys left out, and each JSON column as one array."""
        where, values = self._range(after, upto)
        if without:
            where += f" AND {self._key} <> ALL(%s::{self._array})"
            values.append(list(without))
        assert self._lines is not None
        source = f"FROM {self._mapping.relation} WHERE {where} ORDER BY {self._key}"
        return read_block(self._alias, self._lines, source, values)

    def noted_keys(self, after: Any, upto: Any) -> set[Any]:
        """The keys of a range of which something was kept or set aside."""
        text = is_text_key(self._mapping)
        key = "key" if text else "key::bigint"
        tests = [OF_TABLE, "TRUE" if text else _WHOLE]
        values: list[Any] = [*self._mapping.identity]
        if not text:
            bounds = ((">", after), ("<=", upto))
            # CASE: the cast must not be tried on other keys.
            tests += [
                f"CASE WHEN {tests[1]} THEN key::bigint {sign} %s END"
                for sign, bound in bounds
                if bound is not None
            ]
            values += [bound for _, bound in bounds if bound is not None]
        found: set[Any] = set()
        for name in ("kept_cell", "quarantined_row"):
            sql = f"SELECT DISTINCT {key} FROM transfer.{name} WHERE {' AND '.join(tests)}"
            found.update(row[0] for row in select(self._alias, sql, values))
        return found

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
        self.repeated = {}
        if not keys or self._mapping.key is None:
            return {}
        names, parts = self._columns()
        key = _q(self._mapping.key.target)
        found = select(
            self._alias,
            f"SELECT {key}::text, {', '.join(parts)} "
            f"FROM {self._mapping.relation} WHERE {key} = ANY(%s::{self._array})",
            [list(keys)],
        )
        rows = {row[0]: _row(names, row[1:]) for row in found}
        if len(rows) < len(found):
            counted = Counter(row[0] for row in found)
            self.repeated = {key: n for key, n in counted.items() if n > 1}
        return rows

    def count(self, keys: Sequence[Any]) -> int:
        """How many of the keys there are."""
        if not keys or self._mapping.key is None:
            return 0
        where = f"{_q(self._mapping.key.target)} = ANY(%s::{self._array})"
        query = f"SELECT count(*) FROM {self._mapping.relation} WHERE {where}"
        return int(select(self._alias, query, [list(keys)])[0][0])

    def _columns(self) -> tuple[list[str], list[str]]:
        names: list[str] = []
        parts: list[str] = []
        for column in self._mapping.columns:
            names.append(column.target)
            if column.target in self._huge:
                value, huge = target_parts(_q(column.target))
                names.append(f"{column.target}{_HUGE}")
                parts += [value, huge]
                continue
            parts.append(_comparable(column.kind, _q(column.target)))
        for name in (*(n for n, _ in self._mapping.derived), *self._mapping.extra_columns):
            names.append(name)
            parts.append(f"{_q(name)}::text")
        for unfilled in self._mapping.unfilled:
            names.append(unfilled.target)
            parts.append(told(unfilled))
        return names, parts


def _row(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    found = dict(zip(names, map(_plain, values), strict=True))
    for name in [name for name in names if name.endswith(_HUGE)]:
        spelled = found.pop(name)
        if spelled is not None:
            found[name.removesuffix(_HUGE)] = of_target(spelled)
    return found


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
