"""The judge's reading of UUIDs, IP addresses and bytes."""

from __future__ import annotations

import re
import socket
from typing import Any, ClassVar

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.verify.kinds.base import (
    Expected,
    KindJudge,
    MustBeSetAside,
    Stored,
    Surroundings,
    Table,
    or_null,
    or_tilde,
    sized,
    utf8,
)
from stillme.transfer.verify.kinds.local_clock import LocalClock


class UuidJudge(KindJudge[kinds.Uuid]):
    """A UUID as its 32 digits."""

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The digits, without what else may stand there."""
        if storage != "text":
            raise MustBeSetAside("not_a_uuid")
        text = utf8(raw)
        bare = text.lower().removeprefix("urn:uuid:")
        if bare.startswith("{") and bare.endswith("}"):
            bare = bare[1:-1]
        groups = bare.split("-")
        if [len(group) for group in groups] not in ([32], [8, 4, 4, 4, 12]):
            raise MustBeSetAside("not_a_uuid")
        digits = "".join(groups)
        if not text.isascii() or set(digits) - set("0123456789abcdef"):
            raise MustBeSetAside("not_a_uuid")
        return Expected(digits, "" if digits == text else "uuid_shape")

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """Any text, if it equals the digits that PostgreSQL prints."""
        return or_null(column, f"typeof({quoted(column.legacy)}) = 'text'")

    def surely_plain(self, name: str) -> str:
        """32 digits."""
        return f"(length({name}) = 32 AND trim({name}, '0123456789abcdef') = '')"

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """The text after its size in bytes: it may be no UUID, and hold what ends other values."""
        return _sized_text(column)

    def target_piece(self, name: str) -> str:
        """The digits after their number."""
        return f"coalesce('32:' || {self.compared(name)}, '~')"

    def compared(self, name: str) -> str:
        """The digits."""
        return f"replace({name}::text, '-', '')"

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """The digits."""
        return "text", value.encode()


class AddressJudge(KindJudge[kinds.Address]):
    """An address as its 4 or 16 bytes."""

    functions: ClassVar = {"is_an_address": lambda raw: _packed(raw.decode("latin-1")) is not None}

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The address of its text."""
        packed = _packed(utf8(raw)) if storage == "text" else None
        if packed is None:
            raise MustBeSetAside("not_an_address")
        return Expected(packed, "" if _spelled(packed).encode() == raw else "address_shape")

    def plain_test(self, column: MappedColumn, table: Table) -> str:
        """Any text, if it equals what PostgreSQL prints; an IPv4 address inside an IPv6 one is
        spelled otherwise by Django."""
        name = quoted(column.legacy)
        mixed = f"instr({name}, '.') AND instr({name}, ':')"
        return or_null(column, f"typeof({name}) = 'text' AND NOT ({mixed})")

    def surely_plain(self, name: str) -> str:
        """Any spelling of an address."""
        return f"is_an_address(CAST({name} AS BLOB))"

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """The text after its size in bytes, as a UUID's."""
        return _sized_text(column)

    def target_piece(self, name: str) -> str:
        """What PostgreSQL prints, with the mask of what is no single address."""
        whole = f"masklen({name}) = CASE family({name}) WHEN 4 THEN 32 ELSE 128 END"
        return sized(f"CASE WHEN {whole} THEN host({name}) ELSE {name}::text END")

    def compared(self, name: str) -> str:
        """Its text, in which each address has a mask."""
        return f"{name}::text"

    def read(self, found: Any) -> Any:
        """The bytes; the text of what is no single address."""
        if found is None:
            return None
        bare = found.removesuffix("/128" if ":" in found else "/32")
        return _packed(bare) or found

    def show(self, value: Any) -> str | None:
        """The address."""
        return _spelled(value) if isinstance(value, bytes) else str(value)

    def parameter(self, value: Any) -> Any:
        """The address."""
        return _spelled(value)

    def rebuilt(self, value: Any, clock: LocalClock) -> Stored:
        """As Django spells it."""
        return "text", str(self.show(self.read(value))).encode()


def _sized_text(column: MappedColumn) -> str:
    name = quoted(column.legacy)
    return or_tilde(column, f"octet_length({name})", "':'", name)


def _packed(text: str) -> bytes | None:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return None


def _spelled(packed: bytes) -> str:
    """The shortest spelling; of IPv6 the first of the longest runs of zeros is left out."""
    if len(packed) == 4 or packed.startswith(bytes(10) + b"\xff\xff"):
        return ("" if len(packed) == 4 else "::ffff:") + ".".join(map(str, packed[-4:]))
    groups = ":".join(f"{packed[i] << 8 | packed[i + 1]:x}" for i in range(0, 16, 2))
    runs = re.findall(r"\b0(?::0\b)+", groups)
    if not runs:
        return groups
    before, after = re.split(rf"\b{max(runs, key=len)}\b", groups, maxsplit=1)
    return f"{before.removesuffix(':')}::{after.removeprefix(':')}"


class BinaryJudge(KindJudge[kinds.Binary]):
    """Bytes."""

    decides_blobs = True

    def expect(self, storage: str, raw: Raw, around: Surroundings) -> Expected:
        """The bytes of a blob or a text."""
        if not isinstance(raw, bytes):
            raise MustBeSetAside("not_binary")
        return Expected(raw, "text_in_binary" if storage == "text" else "")

    def legacy_piece(self, column: MappedColumn, table: Table) -> str:
        """Hex digits, as PostgreSQL prints them; of NULL, hex() is an empty text."""
        name = quoted(column.legacy)
        digits = f"lower(hex({name})) || ';'"
        return digits if column.required else f"iif({name} IS NULL, '~', {digits})"

    def target_piece(self, name: str) -> str:
        """Hex digits."""
        return f"coalesce(encode({name}, 'hex') || ';', '~')"

    def show(self, value: Any) -> str | None:
        """Hex digits."""
        if not isinstance(value, bytes):
            return str(value)
        digits = value.hex()
        return f"x'{digits}'" if len(digits) <= 100 else f"x'{digits[:100]}...'"
