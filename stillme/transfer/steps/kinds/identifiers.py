"""UUIDs, IP addresses and bytes: `uuid`, `inet` and `bytea` in the target.

What Django writes is one spelling of many: 32 lower-case digits of a UUID, the shortest form of an
address. Another spelling is loaded as the same value, with the original kept.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.mapped_column import MappedColumn
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.steps.kinds.base import (
    Cell,
    KindLoader,
    Refused,
    Rendered,
    RowContext,
    Table,
    decode,
    repaired,
    shape_test,
)

_UUID = re.compile(
    r"(?:urn:uuid:)?(\{)?([0-9a-f]{8}(-?)[0-9a-f]{4}\3[0-9a-f]{4}\3[0-9a-f]{4}\3[0-9a-f]{12})(?(1)\})\Z",
    re.ASCII | re.IGNORECASE,
)


class UuidLoader(KindLoader[kinds.Uuid]):
    """A UUID."""

    compared = "{}"

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """32 digits."""
        name = quoted(column.legacy)
        return shape_test(column, f"length({name}) = 32 AND {name} NOT GLOB '*[^0-9a-f]*'")

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """Dashes, upper case, braces and ``urn:uuid:`` are other spellings."""
        text = decode(raw) if storage == "text" else ""
        match = _UUID.match(text)
        if match is None:
            raise Refused("not_a_uuid", f"{text[:60] or storage!r} is no UUID.")
        digits = match[2].replace("-", "").lower()
        return Cell(digits) if digits == text else repaired(digits, "uuid_shape")

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """32 digits."""
        return Rendered(value.hex)


class AddressLoader(KindLoader[kinds.Address]):
    """An IPv4 or IPv6 address."""

    compared = "{}"

    def common_test(self, column: MappedColumn, table: Table) -> str:
        """An address in the spelling that Django writes; of IPv4 too large a part is left to
        PostgreSQL, of IPv6 the forms are `_SHORT_V6`."""
        name = quoted(column.legacy)
        v4, v6 = (" AND ".join(test.format(name) for test in tests) for tests in (_V4, _SHORT_V6))
        return shape_test(column, f"CASE WHEN instr({name}, ':') THEN {v6} ELSE {v4} END")

    def strict_test(self, name: str) -> str:
        """No part of an IPv4 address is above 255."""
        large = ("[3-9][0-9][0-9]", "2[6-9][0-9]", "25[6-9]")
        parts = (f"{name} NOT GLOB '{start}{number}*'" for number in large for start in ("", "*."))
        return f"(instr({name}, ':') OR ({' AND '.join(parts)}))"

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """Any spelling of an address, but none with a mask or a zone."""
        text = decode(raw) if storage == "text" else ""
        try:
            shown = spelled_address(text)
        except AddressValueError:
            raise Refused("not_an_address", f"{text[:60] or storage!r} is no IP address.") from None
        return Cell(shown) if shown == text else repaired(shown, "address_shape")

    def read_target(self, name: str) -> str:
        """Its text, which has no mask where the address is of one host."""
        return f"{name}::text"

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """As Django writes it."""
        text = str(value).removesuffix("/32" if "." in value and ":" not in value else "/128")
        try:
            return Rendered(spelled_address(text))
        except AddressValueError:
            return Rendered(text, "not_an_address")


_V4 = (
    "{0} GLOB '[0-9]*.[0-9]*.[0-9]*.[0-9]*'",
    "{0} NOT GLOB '*[^0-9.]*'",
    "{0} NOT GLOB '*.*.*.*.*'",
    "{0} NOT GLOB '*[0-9][0-9][0-9][0-9]*'",
    "{0} NOT GLOB '0[0-9]*'",
    "{0} NOT GLOB '*.0[0-9]*'",
)
# The shortest spelling, of addresses that have one ``::`` and no other zeros in a row, or neither.
_GROUPS = "(length({0}) - length(replace({0}, ':', '')))"
_SHORT_V6 = (
    "{0} NOT GLOB '*[^0-9a-f:]*'",
    "{0} NOT GLOB '*[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]*'",
    "{0} NOT GLOB '0[0-9a-f]*'",
    "{0} NOT GLOB '*:0[0-9a-f]*'",
    "{0} NOT GLOB '0:0*'",
    "{0} NOT GLOB '*:0:0*'",
    "{0} NOT GLOB '::ffff:*'",
    "CASE WHEN instr({0}, '::') THEN "
    f"{_GROUPS} BETWEEN 2 AND 6"
    " AND {0} NOT GLOB '*::*::*' AND {0} NOT GLOB '*:::*' AND {0} NOT GLOB '*:0::*'"
    " AND {0} NOT GLOB '*::0' AND {0} NOT GLOB '*::0:*' AND {0} NOT GLOB '0::*'"
    " AND {0} NOT GLOB '*[^:]:' AND {0} NOT GLOB ':[^:]*' ELSE "
    f"{_GROUPS} = 7"
    " AND {0} NOT GLOB ':*' AND {0} NOT GLOB '*:' END",
)


def spelled_address(text: str) -> str:
    """The address as Django spells it. Raises AddressValueError."""
    if ":" not in text:
        return str(IPv4Address(text))
    address = IPv6Address(text)
    if address.scope_id is not None:
        raise AddressValueError("a zone")
    if address.ipv4_mapped is not None:
        return f"::ffff:{address.ipv4_mapped}"
    return str(address)


class BinaryLoader(KindLoader[kinds.Binary]):
    """Bytes, which travel as hex digits."""

    decides_blobs = True
    compared = "{}"

    def cell(self, column: MappedColumn, table: Table) -> tuple[str, ...]:
        r"""``\x`` and the digits; of NULL, hex() is an empty text."""
        name = quoted(column.legacy)
        if column.required:
            return r"'\x'", f"hex({name})"
        return (rf"CASE WHEN {name} IS NOT NULL THEN '\x' || hex({name}) END",)

    def convert(self, storage: str, raw: Raw, row: RowContext) -> Cell:
        """Bytes; those of a text are kept as such, too."""
        if not isinstance(raw, bytes):
            raise Refused("not_binary", f"Stored as {storage}, where bytes are meant.")
        shown = rf"\x{raw.hex()}"
        return Cell(shown) if storage == "blob" else repaired(shown, "text_in_binary")

    def spell_back(self, value: Any, clock: Clock, *, required: bool, explicit: bool) -> Rendered:
        """The bytes."""
        return Rendered(bytes(value))
