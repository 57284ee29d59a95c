"""Prepared statements of a session, run with one call into libpq.

psycopg's cursor is a coroutine that Python drives: of a small INSERT it took 70 of the 90
microseconds of processor time that are not libpq's (benchmarks/services_load.py). A statement that
this session has run before goes to libpq directly; its values are still made and read by psycopg's
adapters, its errors are psycopg's. Only Ctrl-C waits until the server has answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import DiagnosticField, ExecStatus, Format, TransactionStatus

# psycopg's own limit. The statements of the services are far fewer.
MOST_STATEMENTS = 100
_PLACEHOLDER = re.compile(r"%(.)")
_FORMATS = {"s": PyFormat.AUTO, "t": PyFormat.TEXT, "b": PyFormat.BINARY}
_ATTRIBUTE = "stillme_statements"
_Key = tuple[str, tuple[int, ...]]


@dataclass(slots=True)
class Statements:
    """What a session has prepared: the name of a statement with parameters of these types."""

    names: dict[_Key, bytes] = field(default_factory=dict)
    runs: dict[_Key, int] = field(default_factory=dict)

    def repeats(self, key: _Key, threshold: int) -> bool:
        """Whether the statement ran `threshold` times and there is room for one more."""
        seen = self.runs.get(key, 0)
        if seen >= threshold:
            return len(self.names) < MOST_STATEMENTS
        if key in self.runs or len(self.runs) < MOST_STATEMENTS:
            self.runs[key] = seen + 1
        return False


def fetch_prepared(
    session: psycopg.Connection[Any], sql: str, parameters: Sequence[Any], answer: Format
) -> list[tuple[Any, ...]] | None:
    """The rows of a statement that repeats in this session; None where a cursor should run it.

    That is the first time, within a transaction, or where `prepare_threshold` forbids it. `sql`
    has psycopg's placeholders. Raises psycopg.Error; a statement that the server has forgotten
    (a DISCARD) or whose table was altered was not executed, and is left to a cursor.
    """
    threshold = session.prepare_threshold
    if threshold is None or session.pgconn.transaction_status != TransactionStatus.IDLE:
        return None
    query, formats = _numbered(sql)
    if len(formats) != len(parameters):
        return None
    adapters = Transformer(session)
    values: Any = adapters.dump_sequence(parameters, formats)
    key = (sql, adapters.types or ())
    statements: Statements = session.__dict__.setdefault(_ATTRIBUTE, Statements())
    name = statements.names.get(key)
    if name is None:
        if not statements.repeats(key, threshold):
            return None
        name = _prepare(session, statements, query, key)
    result = session.pgconn.exec_prepared(name, values, adapters.formats, answer)
    try:
        _check(session, result)
    except (errors.InvalidSqlStatementName, errors.FeatureNotSupported):
        # An error in autocommit leaves nothing behind, so the cursor runs it for the first time.
        session.execute("DEALLOCATE ALL")
        del session.__dict__[_ATTRIBUTE]
        return None
    adapters.set_pgresult(result, format=answer)
    return adapters.load_rows(0, result.ntuples, tuple) if result.ntuples else []


@lru_cache(MOST_STATEMENTS)
def _numbered(sql: str) -> tuple[bytes, tuple[PyFormat, ...]]:
    """The statement with $1, $2, ..., and the format each placeholder asks for."""
    formats: list[PyFormat] = []

    def number(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        formats.append(_FORMATS[found[1]])
        return f"${len(formats)}"

    return _PLACEHOLDER.sub(number, sql).encode(), tuple(formats)


def _prepare(
    session: psycopg.Connection[Any], statements: Statements, query: bytes, key: _Key
) -> bytes:
    name = b"stillme_%d" % len(statements.names)
    _check(session, session.pgconn.prepare(name, query, key[1]))
    statements.names[key] = name
    return name


def _check(session: psycopg.Connection[Any], result: Any) -> None:
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return
    encoding = session.info.encoding
    if result.error_field(DiagnosticField.SQLSTATE) is None:
        # libpq's own word: the server went away without one.
        raise psycopg.OperationalError(result.get_error_message(encoding))
    raise errors.error_from_result(result, encoding)
