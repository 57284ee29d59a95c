"""What a legacy value means. Pure data: no converter stands here.

The loader turns a kind into a COPY, the judge turns it into an expectation; each in its own
way, so that a mistake in one is seen by the other. `values` holds the kinds of StillMe's files,
`fields` those that Django's model fields need in addition.
"""

from stillme.transfer.kinds.base import Kind, Stamp
from stillme.transfer.kinds.fields import (
    Address,
    Binary,
    Boolean,
    Day,
    Decimal,
    Duration,
    Moment,
    TimeOfDay,
    Uuid,
)
from stillme.transfer.kinds.values import (
    Date,
    Integer,
    Json,
    Key,
    Real,
    Reference,
    Text,
    TextKey,
    Timestamp,
    Twin,
    WhenSet,
)

__all__ = [
    "Address",
    "Binary",
    "Boolean",
    "Date",
    "Day",
    "Decimal",
    "Duration",
    "Integer",
    "Json",
    "Key",
    "Kind",
    "Moment",
    "Real",
    "Reference",
    "Stamp",
    "Text",
    "TextKey",
    "TimeOfDay",
    "Timestamp",
    "Twin",
    "Uuid",
    "WhenSet",
]
