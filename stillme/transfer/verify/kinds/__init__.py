"""What the judge knows of each kind of value: one class per kind, one line per class.

A new kind is declared in `stillme.transfer.kinds`, and gets a class and a line here and in
`steps/kinds`. Asking for a kind without a class is a KeyError.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from stillme.transfer import kinds
from stillme.transfer.kinds import Kind
from stillme.transfer.plumbing.stored_cells import Raw
from stillme.transfer.verify.kinds.base import Expected, KindJudge, MustBeSetAside, Surroundings
from stillme.transfer.verify.kinds.documents import JsonJudge
from stillme.transfer.verify.kinds.identifiers import AddressJudge, BinaryJudge, UuidJudge
from stillme.transfer.verify.kinds.keys import KeyJudge, ReferenceJudge
from stillme.transfer.verify.kinds.moments import (
    DayJudge,
    DurationJudge,
    MomentJudge,
    TimeOfDayJudge,
)
from stillme.transfer.verify.kinds.numbers import (
    BooleanJudge,
    DecimalJudge,
    IntegerJudge,
    RealJudge,
)
from stillme.transfer.verify.kinds.texts import TextJudge, TextKeyJudge
from stillme.transfer.verify.kinds.times import DateJudge, TimestampJudge

JUDGES: dict[type[Kind], type[KindJudge[Any]]] = {
    kinds.Key: KeyJudge,
    kinds.TextKey: TextKeyJudge,
    kinds.Reference: ReferenceJudge,
    kinds.Text: TextJudge,
    kinds.Integer: IntegerJudge,
    kinds.Real: RealJudge,
    kinds.Json: JsonJudge,
    kinds.Timestamp: TimestampJudge,
    kinds.Date: DateJudge,
    kinds.Boolean: BooleanJudge,
    kinds.Decimal: DecimalJudge,
    kinds.Moment: MomentJudge,
    kinds.Day: DayJudge,
    kinds.TimeOfDay: TimeOfDayJudge,
    kinds.Duration: DurationJudge,
    kinds.Uuid: UuidJudge,
    kinds.Binary: BinaryJudge,
    kinds.Address: AddressJudge,
}


@cache
def judge_of(kind: Kind) -> KindJudge[Any]:
    """What the judge knows of this kind."""
    return JUDGES[type(kind)](kind)


def expect(kind: Kind, required: bool, storage: str, raw: Raw, around: Surroundings) -> Expected:
    """What the target must hold for one stored value: the judge's own reading of
    docs/reference/values.md. Raises MustBeSetAside.

    Values are compared as data, not as text: instants are microseconds since 1970, reals are their
    64 bits, documents are trees of decimals.
    """
    if storage == "null":
        if required:
            raise MustBeSetAside("null_in_required")
        return Expected(None)
    judge = judge_of(kind)
    if storage == "blob" and not judge.decides_blobs:
        raise MustBeSetAside("blob")
    return judge.expect(storage, raw, around)
