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
    Mend,
    Refused,
    Rendered,
    RowContext,
    Table,
    decode,
    plain_text,
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
        return shape_test(column, f"length({name}) = 32 AND {table.source.all_hex(name)}")

    def mends(self, column: MappedColumn, table: Table) -> tuple[Mend, ...]:
        """Upper case, and dashes: what PostgreSQL reads itself."""
        name, digit = quoted(column.legacy), "[0-9a-fA-F]"
        dashed = "-".join(digit * length for length in (8, 4, 4, 4, 12))
        either = f"{name} GLOB '{dashed}' OR {name} GLOB '{digit * 32}'"
        return (Mend("uuid_shape", f"{plain_text(name, 36)} AND ({either})", name),)

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
        """An address in the spelling that Django writes, or a text that PostgreSQL refuses."""
        name = quoted(column.legacy)
        return shape_test(column, _COMMON.format(name))

    def strict_test(self, name: str) -> str:
        """What PostgreSQL takes: 4 numbers up to 255, or 8 groups of up to 4 digits."""
        return _STRICT.format(name)

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


# A part that begins with 0 is looked at once more. Of IPv6 it may be a single 0, and not where a
# ``::`` should take it in; a ``::`` stands for two groups or more. The characters are such that the
# value needs no quotes.
_GROUPS = "(length({0}) - length(replace({0}, ':', '')))"
_COMMON = (
    "CASE WHEN instr({0}, ':') THEN {0} NOT GLOB '*[^0-9a-f:]*' AND {0} NOT GLOB '::ffff:*'"
    " AND (instr({0}, '::') = 0 OR {0} NOT GLOB '*:*:*:*:*:*:*:*')"
    " AND CASE WHEN instr({0}, ':0') = 0 AND {0} NOT GLOB '0*' THEN 1 ELSE"
    " {0} NOT GLOB '0[0-9a-f]*' AND {0} NOT GLOB '*:0[0-9a-f]*'"
    " AND {0} NOT GLOB '0:0*' AND {0} NOT GLOB '*:0:0*' AND {0} NOT GLOB '*:0::*'"
    " AND {0} NOT GLOB '*::0' AND {0} NOT GLOB '*::0:*' AND {0} NOT GLOB '0::*' END"
    " ELSE {0} NOT GLOB '*[^0-9.]*'"
    " AND CASE WHEN instr({0}, '.0') = 0 AND {0} GLOB '[1-9]*' THEN 1 ELSE"
    " {0} GLOB '[0-9]*' AND {0} NOT GLOB '0[0-9]*' AND {0} NOT GLOB '*.0[0-9]*' END END"
)
_STRICT = (
    "CASE WHEN instr({0}, ':') THEN"
    " {0} NOT GLOB '*[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]*' AND {0} NOT GLOB '*::*::*'"
    " AND {0} NOT GLOB '*:::*' AND {0} NOT GLOB '*[^:]:' AND {0} NOT GLOB ':[^:]*'"
    f" AND (instr({{0}}, '::') OR {_GROUPS} = 7)"
    " ELSE {0} GLOB '[0-9]*.[0-9]*.[0-9]*.[0-9]*' AND {0} NOT GLOB '*.*.*.*.*'"
    " AND {0} NOT GLOB '*[0-9][0-9][0-9][0-9]*' AND '.' || {0} NOT GLOB '*.[3-9][0-9][0-9]*'"
    " AND '.' || {0} NOT GLOB '*.2[6-9][0-9]*' AND '.' || {0} NOT GLOB '*.25[6-9]*' END"
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
