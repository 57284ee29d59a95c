"""Records of the quarantine and kept originals, with all bytes of the texts that are judged.

PostgreSQL prints a text up to a U+0000, behind which a damaged page may continue it: such a
``blob`` looks like the reason ``blob``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from django.db.models import BinaryField, F, Func, Model, QuerySet

from stillme.transfer.models import KeptCell, QuarantinedRow

RecordT = TypeVar("RecordT", bound=Model)
# What the judge needs of a record: texts, and others.
_JUDGED: dict[type[Model], tuple[tuple[str, ...], tuple[str, ...]]] = {
    QuarantinedRow: (("reason", "column", "status"), ("key", "rowid", "cells", "repairs")),
    KeptCell: (("column", "storage", "reason"), ("key", "value")),
}


class _Sent(Func):
    """All bytes of a text, as PostgreSQL sends them in binary form."""

    function = "pg_catalog.textsend"
    output_field = BinaryField()


def as_stored(records: QuerySet[RecordT]) -> Iterator[RecordT]:
    """The records, their judged texts as they are stored. What is not judged is not read."""
    texts, others = _JUDGED[records.model]
    sent = {f"sent_{name}": _Sent(F(name)) for name in texts}
    for record in records.only(*others).annotate(**sent):
        for name in texts:
            stored: bytes = getattr(record, f"sent_{name}")
            setattr(record, name, bytes(stored).decode("utf-8", "surrogateescape"))
        yield record
