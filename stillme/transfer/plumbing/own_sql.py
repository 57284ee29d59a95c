"""Triggers and functions that the engine leaves in somebody's database: whether they are its own.

A statement holds its version and hash in a comment, which SQLite and PostgreSQL keep. A text that
does not give its own hash was edited by hand; one that is true to itself but not what this version
would write is outdated.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stillme.transfer.conf import conf

OWN = conf().prefix
# A setting of the session, by which the triggers know the engine's own writes.
ORIGIN = f"{OWN}.origin"
REPLAY = "replay"
_MARK = re.compile(rf"/\* {OWN} (\w+) v(\d+) sha256:([0-9a-f]{{16}}) \*/")
# Of a name in PostgreSQL, in bytes.
_LONGEST_NAME = 63


def capture_function(schema: str, table: str) -> str:
    """The name, within schema `transfer`, of a target table's capture function.

    Another one for each table. PostgreSQL cuts names without an error, and cut ones may be equal.
    """
    name = f"capture_{schema}_{table}"
    if len(name.encode()) <= _LONGEST_NAME and "_" not in schema:
        return name
    digest = hashlib.sha256(f'"{schema}"."{table}"'.encode()).hexdigest()[:12]
    start = name.encode()[: _LONGEST_NAME - len(digest) - 1].decode(errors="ignore")
    return f"{start}_{digest}"


class Health(StrEnum):
    """How capture stands in a file, or on the target's tables."""

    HEALTHY = "healthy"
    OUTDATED = "outdated"
    HAND_EDITED = "hand-edited"
    MISSING = "missing"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class CaptureStatus:
    """`health` with what is wrong, and in a file the identity of the installation."""

    health: Health
    problems: tuple[str, ...] = ()
    capture_id: str | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether every write is logged."""
        return self.health is Health.HEALTHY


def status_of(
    edited: Sequence[str],
    outdated: Sequence[str],
    missing: Sequence[str],
    capture_id: str | None = None,
) -> CaptureStatus:
    """The status by the worst of the problems found."""
    for health, problems in (
        (Health.HAND_EDITED, edited),
        (Health.OUTDATED, outdated),
        (Health.MISSING, missing),
    ):
        if problems:
            return CaptureStatus(health, tuple(problems), capture_id)
    return CaptureStatus(Health.HEALTHY, (), capture_id)


def marked(name: str, version: int, sql: str) -> str:
    """The statement, its mark in place of ``{mark}``."""
    digest = _digest(sql.replace("{mark}", ""))
    return sql.replace("{mark}", f"/* {OWN} {name} v{version} sha256:{digest} */")


def is_own_text(sql: str) -> bool:
    """Whether the statement still is what some version of ours wrote."""
    match = _MARK.search(sql)
    return match is not None and _digest(_MARK.sub("", sql)) == match[3]


def literal(text: str) -> str:
    """A literal of either side's SQL."""
    return "'" + text.replace("'", "''") + "'"


def _digest(sql: str) -> str:
    return hashlib.sha256(" ".join(sql.split()).encode()).hexdigest()[:16]
