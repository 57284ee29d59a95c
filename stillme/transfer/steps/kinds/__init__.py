"""What the loader does with each kind of value: one class per kind, one line per class.

A new kind is declared in `stillme.transfer.kinds`, and gets a class and a line here and in
`verify/kinds`. Asking for a kind without a class is a KeyError.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.kinds import Kind
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.steps.kinds.base import Cell, KindLoader, Refused, RowContext
from stillme.transfer.steps.kinds.decimals import BooleanLoader, DecimalLoader
from stillme.transfer.steps.kinds.documents import JsonLoader
from stillme.transfer.steps.kinds.durations import DurationLoader, TimeOfDayLoader
from stillme.transfer.steps.kinds.identifiers import AddressLoader, BinaryLoader, UuidLoader
from stillme.transfer.steps.kinds.keys import KeyLoader, ReferenceLoader
from stillme.transfer.steps.kinds.moments import DayLoader, MomentLoader
from stillme.transfer.steps.kinds.numbers import IntegerLoader, RealLoader
from stillme.transfer.steps.kinds.texts import TextKeyLoader, TextLoader
from stillme.transfer.steps.kinds.times import DateLoader, TimestampLoader

# Of any kind: why a row is set aside whose cell holds no value, or bytes where no bytes are meant.
NULL_IN_REQUIRED = "NULL in a column that needs a value."
UNWANTED_BLOB = "Binary data where text is meant."
LOADERS: dict[type[Kind], type[KindLoader[Any]]] = {
    kinds.Key: KeyLoader,
    kinds.TextKey: TextKeyLoader,
    kinds.Reference: ReferenceLoader,
    kinds.Text: TextLoader,
    kinds.Integer: IntegerLoader,
    kinds.Real: RealLoader,
    kinds.Json: JsonLoader,
    kinds.Timestamp: TimestampLoader,
    kinds.Date: DateLoader,
    kinds.Boolean: BooleanLoader,
    kinds.Decimal: DecimalLoader,
    kinds.Moment: MomentLoader,
    kinds.Day: DayLoader,
    kinds.TimeOfDay: TimeOfDayLoader,
    kinds.Duration: DurationLoader,
    kinds.Uuid: UuidLoader,
    kinds.Binary: BinaryLoader,
    kinds.Address: AddressLoader,
}


@cache
def loader_of(kind: Kind) -> KindLoader[Any]:
    """What the loader does with values of this kind."""
    return LOADERS[type(kind)](kind)


def convert(kind: Kind, required: bool, storage: str, raw: Raw, row: RowContext) -> Cell:
    """What becomes of one stored value, by docs/reference/values.md. Raises Refused.

    Only rows that need attention come here (law 4). `raw` is bytes for text and blob.
    """
    if storage == "null":
        if required:
            raise Refused("null_in_required", NULL_IN_REQUIRED)
        return Cell(None)
    loader = loader_of(kind)
    if storage == "blob" and not loader.decides_blobs:
        raise Refused("blob", UNWANTED_BLOB)
    return loader.convert(storage, raw, row)
