"""The evidence of the local clock that one row shows, in SQL (values.md, "Clock")."""

from __future__ import annotations

from stillme.transfer.kinds import Twin
from stillme.transfer.sqlite.reading.connect import quoted

_DATE = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"
_TIME = "[0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
SQL_GLOB = f"{_DATE} {_TIME}"
ISO_GLOB = f"{_DATE}T{_TIME}"
FRACTION_GLOB = ".[0-9][0-9][0-9][0-9][0-9][0-9]"


def row_offset_sql(twin: Twin) -> str:
    """SQL for the row's own offset in minutes, NULL where the row is no evidence."""
    seconds = seconds_between_sql(twin)
    return f"CASE WHEN {has_twins_sql(twin)} THEN {offset_of_sql(seconds)} END"


def has_twins_sql(twin: Twin) -> str:
    """SQL: both stamps of the row have the shape that the old code gives them."""
    local, utc = quoted(twin.local), quoted(twin.utc)
    return (
        f"typeof({local}) = 'text' AND typeof({utc}) = 'text'"
        f" AND {iso_shape_sql(local)} AND {utc} GLOB '{SQL_GLOB}'"
    )


def seconds_between_sql(twin: Twin) -> str:
    """SQL for the seconds by which the local stamp is ahead of its UTC twin."""
    local, utc = quoted(twin.local), quoted(twin.utc)
    return (
        f"(CAST(strftime('%s', substr({local}, 1, 19)) AS INTEGER)"
        f" - CAST(strftime('%s', {utc}) AS INTEGER) + CAST('0' || substr({local}, 20) AS REAL))"
    )


def offset_of_sql(seconds: str) -> str:
    """SQL for the offset in minutes that a difference shows, NULL where it shows none."""
    quarter = f"(round({seconds} / 900.0) * 900)"
    return (
        f"CASE WHEN {seconds} - {quarter} BETWEEN -120 AND 5"
        f" AND {quarter} BETWEEN -43200 AND 50400"
        f" THEN CAST({quarter} / 60 AS INTEGER) END"
    )


def iso_shape_sql(column: str) -> str:
    """SQL: the text is isoformat() of a naive time (`column` is already quoted)."""
    return (
        f"(({column} GLOB '{ISO_GLOB}{FRACTION_GLOB}' AND substr({column}, 21) <> '000000')"
        f" OR {column} GLOB '{ISO_GLOB}')"
    )
