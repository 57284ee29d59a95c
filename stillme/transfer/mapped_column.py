"""A legacy column as it was found: its meaning, its target, and what a key's value may be there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.db import models

from stillme.transfer.keys import Key, Part, Raw
from stillme.transfer.kinds import Kind, Reference
from stillme.transfer.plumbing.quoting import digits_of, each

_DIGITS = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A legacy column as found, its meaning, and its target column."""

    legacy: str
    target: str
    kind: Kind
    required: bool

    @property
    def names(self) -> str:
        """The parent's column that a reference names; "" where that is its key."""
        return self.kind.column if isinstance(self.kind, Reference) else ""

    @property
    def holds_text(self) -> bool:
        """Whether a key's values are text here; a key column holds integers else."""
        return self.kind.is_free_text or self.is_uuid

    @property
    def is_uuid(self) -> bool:
        """Whether it holds UUIDs. Such a key is the 32 digits that Django stores, nothing else."""
        return self.kind.key_type == "uuid"

    @property
    def key_classes(self) -> tuple[str, ...]:
        """The storage classes of which the target can hold a key's value."""
        if self.is_uuid:
            return ("text",)
        return ("text", "integer", "real") if self.holds_text else ("integer",)

    @property
    def array(self) -> str:
        """The type of an array of a key's values in PostgreSQL."""
        return f"{self.kind.key_type}[]"

    def shown(self, name: str) -> str:
        """SQL: the (quoted, qualified) target column as a key has it."""
        return digits_of(name) if self.is_uuid else name


def referred_key(column: MappedColumn, storage: str, raw: Raw) -> int | str | None:
    """The parent's key that a reference holds; None where it holds none."""
    part = held_part(column, storage, raw) if storage == column.kind.storage else None
    return None if part is None else Key((part,)).values[0]


def held_part(column: MappedColumn, storage: str, raw: Raw) -> Part | None:
    """A key's part as the target holds it; None where it cannot."""
    if not column.holds_text:
        return (storage, raw) if storage == "integer" else None
    if column.is_uuid:
        is_digits = isinstance(raw, bytes) and storage == "text" and _DIGITS.fullmatch(raw)
        return (storage, raw) if is_digits else None
    if storage in ("integer", "real"):
        return "text", repr(raw).encode()
    if storage != "text" or not isinstance(raw, bytes) or b"\0" in raw:
        return None
    try:
        raw.decode()
    except UnicodeDecodeError:
        return None
    return storage, raw


def spelled_key(target: type[models.Model], alias: str = "") -> str:
    """PostgreSQL: the key of a target's row as the ledger spells it (`Key.spelled`)."""
    columns = each([str(field.column) for field in target._meta.pk_fields], alias)
    names = list(zip(columns, map(is_uuid, target._meta.pk_fields), strict=True))
    if len(names) == 1:
        return digits_of(names[0][0]) if names[0][1] else f"{names[0][0]}::text"
    parts = [digits_of(name) if uuid else name for name, uuid in names]
    return f"json_build_array({', '.join(parts)})::text"


def is_uuid(key: models.Field) -> bool:  # type: ignore[type-arg]
    """Whether the target's primary key holds UUIDs, or refers to one that does."""
    while key.remote_field is not None:
        key = key.target_field  # type: ignore[attr-defined]
    return isinstance(key, models.UUIDField)
