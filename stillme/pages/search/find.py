"""The rows of one table that have all of the words: by its index, or among its newest rows.

Without an index the newest `NEWEST` rows are looked at. With one, words of many rows are found
among the newest `FIRST`, other words by the index. It collects every row of every word before it
gives one, deaf to time limits meanwhile: a word that many of the newest rows have is therefore not
looked up, but looked for in the rows that the other words have. Where that takes more than `QUICK`
milliseconds the newest `NEWEST` rows have to do, and the page says so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin.utils import quote as quote_key
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.urls import reverse
from django.utils.safestring import SafeString

from stillme.pages.glance.grouped import TooLongError, limited
from stillme.pages.search.tables import Table
from stillme.pages.search.words import (
    SEARCHED,
    has_word,
    pattern_sql,
    snippet,
    text_search_query,
)
from stillme.postgresql.distributed import silent_schemas
from stillme.postgresql.names import quote
from stillme.postgresql.statements import fetch_all, set_local
from stillme.services.arguments import whole_key

# Rows of a table without index that are looked at: about 50 ms where texts are short.
NEWEST = 5_000
# Rows of a table with an index that are looked at before it is asked.
FIRST = 500
# A word is frequent if so many of them have it.
FREQUENT = FIRST // 20
QUICK = 120
SHOWN = 5
# Rows of an index that are put in order.
SOME = 1_000
# Seconds for all tables of a page together; those that are not reached by then are named.
SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A row, the columns in which the words were found, and their surroundings."""

    key: Any
    page: str
    texts: list[tuple[str, SafeString]]


@dataclass(slots=True)
class Found:
    """What one table has. `note` says how far it was looked at where that is not everywhere."""

    table: Table
    hits: list[Hit] = field(default_factory=list)
    more: bool = False
    note: str = ""
    wants_index: bool = False

    @property
    def every(self) -> str:
        """The table's own list."""
        meta = self.table.model._meta
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")


def find(tables: list[Table], words: list[str], asked: str) -> list[Found]:
    """What each table has, in their order; a table of which nothing can be said says why."""
    began = time.monotonic()
    found = []
    silent = silent_schemas(connections[DEFAULT_DB_ALIAS])
    for table in tables:
        if table.plain_name.partition(".")[0] in silent:
            found.append(Found(table, note="not looked at: its node does not answer"))
            continue
        if time.monotonic() - began > SECONDS:
            found.append(Found(table, note="not looked at: the search had taken too long by then"))
            continue
        found.append(_in_table(table, words, asked))
    return found


def _in_table(table: Table, words: list[str], asked: str) -> Found:
    alias = table.model._default_manager.db
    found = Found(table)
    indexed = table.index in table.indexes(alias)
    try:
        if indexed:
            rows, is_all = _with_index(alias, table, words)
            if not is_all:
                found.note = (
                    "so many rows may have these words that only the newest "
                    f"{NEWEST:,} rows were looked at"
                )
        else:
            with limited(alias):
                rows = _newest(alias, table, words, NEWEST)
    except TooLongError:
        found.note = "PostgreSQL was stopped after two seconds"
        found.wants_index = not indexed
        return found
    found.hits = [_hit(table, words, row) for row in rows[:SHOWN]]
    found.more = len(rows) > SHOWN
    if not indexed and table.model._default_manager.all()[NEWEST : NEWEST + 1].exists():
        found.note = f"only the newest {NEWEST:,} rows were looked at"
        found.wants_index = True
    _add_key(found, alias, asked)
    return found


def _with_index(alias: str, table: Table, words: list[str]) -> tuple[list[tuple[Any, ...]], bool]:
    """The rows, and whether they were looked for everywhere."""
    with limited(alias):
        rows = _newest(alias, table, words, FIRST)
    if len(rows) > SHOWN:
        return rows, True
    try:
        with limited(alias, QUICK):
            return _by_index(alias, table, words, _rare(alias, table, words)), True
    except TooLongError:
        with limited(alias):
            return _newest(alias, table, words, NEWEST), False


def _rare(alias: str, table: Table, words: list[str]) -> list[str]:
    """The words that few of the newest rows have; one word at least."""
    if len(words) == 1:
        return words
    starts = _starts(table)
    has = ", ".join([f"count(*) FILTER (WHERE {_text(starts)} ~ %s)"] * len(words))
    sql = f"SELECT {has} FROM ({_newest_sql(table, FIRST)}) newest (k, {', '.join(starts)})"
    counts = fetch_all(connections[alias], sql, [pattern_sql(word) for word in words])[0]
    by_rows = sorted(zip(counts, words, strict=True), key=lambda pair: int(pair[0]))
    return [word for rows, word in by_rows if rows < FREQUENT] or [by_rows[0][1]]


def _by_index(alias: str, table: Table, words: list[str], rare: list[str]) -> list[tuple[Any, ...]]:
    connection = connections[alias]
    # PostgreSQL may think a word frequent that is not, and read the whole table in search of it.
    set_local(connection, {"gin_fuzzy_search_limit": SOME * 10, "enable_seqscan": "off"})
    key, texts = _columns(table)
    others = [word for word in words if word not in rare]
    beginnings = [f"left({name}::text, {SEARCHED})" for name in table.quoted]
    also = f" AND {_text(beginnings)} ~ %s" * len(others)
    # Keys first: the texts of those rows alone are read that are shown.
    sql = (
        f"SELECT {key}, {texts} FROM {table.name} WHERE {key} IN (SELECT {key} FROM "
        f"(SELECT {key} FROM {table.name} WHERE {table.document} @@ to_tsquery('simple', %s)"
        f"{also} LIMIT {SOME}) chosen ORDER BY {key} DESC LIMIT {SHOWN + 1}) ORDER BY {key} DESC"
    )
    return fetch_all(connection, sql, [text_search_query(rare), *map(pattern_sql, others)])


def _newest(alias: str, table: Table, words: list[str], rows: int) -> list[tuple[Any, ...]]:
    starts = _starts(table)
    every = " AND ".join([f"{_text(starts)} ~ %s"] * len(words))
    sql = (
        f"SELECT * FROM ({_newest_sql(table, rows)}) newest (k, {', '.join(starts)}) "
        f"WHERE {every} LIMIT {SHOWN + 1}"
    )
    return fetch_all(connections[alias], sql, [pattern_sql(word) for word in words])


def _newest_sql(table: Table, rows: int) -> str:
    key, texts = _columns(table)
    return f"SELECT {key}, {texts} FROM {table.name} ORDER BY {key} DESC LIMIT {rows}"


def _starts(table: Table) -> list[str]:
    """Names for the beginnings of its texts."""
    return [f"c{at}" for at in range(len(table.columns))]


def _text(columns: list[str]) -> str:
    """All of them as one."""
    return f"concat_ws(' ', {', '.join(columns)})"


def _columns(table: Table) -> tuple[str, str]:
    """The key, and the beginnings of the texts, as SQL."""
    key = quote(str(table.model._meta.pk.column))
    return key, ", ".join(f"left({name}::text, {SEARCHED})" for name in table.quoted)


def _hit(table: Table, words: list[str], row: tuple[Any, ...]) -> Hit:
    key, *values = row
    named = [(n, v) for n, v in zip(table.columns, values, strict=True) if v]
    texts = [(n.replace("_", " "), snippet(v, words)) for n, v in named if has_word(v, words)]
    return Hit(key, _page(table.model, key), texts)


def _page(model: type[models.Model], key: Any) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[quote_key(key)])


def _add_key(found: Found, alias: str, asked: str) -> None:
    """A number is the key of a row as well."""
    model = found.table.model
    key = whole_key(asked.strip()) if isinstance(model._meta.pk, models.IntegerField) else None
    if key is None or any(hit.key == key for hit in found.hits):
        return
    if model._default_manager.using(alias).filter(pk=key).exists():
        found.hits.insert(0, Hit(key, _page(model, key), []))
