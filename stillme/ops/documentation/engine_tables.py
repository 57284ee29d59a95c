"""Tables of what the engine declares: states of a file, findings, the setting `TRANSFER`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, fields
from typing import Any

from stillme.ops.documentation.tables import code, table
from stillme.transfer.conf import FileSettings, TransferSettings
from stillme.transfer.reports.advice import ADVICE
from stillme.transfer.steps.syncing.file_states import WAYS, Action


def states() -> Iterator[str]:
    """State of a legacy file, and the state that each action leads to."""
    rows = ([str(state), *(str(ways.get(a, "")) for a in Action)] for state, ways in WAYS.items())
    return table(("state", *Action), rows)


# What `advice` leaves to other lines of the report.
_OTHER_FINDINGS = (
    ("`inventory`", "[carry it or leave it](../howto/undeclared-data.md)"),
    ("`round_trip`, `conservation`", "they follow from other findings: see those"),
)


def findings() -> Iterator[str]:
    """Kinds of findings, and what helps."""
    advised = (
        (
            ", ".join(code(kind.value) for kind in kinds),
            says.replace("`manage.py ", "`").replace("<", "&lt;"),
        )
        for kinds, says in ADVICE
    )
    return table(("kind", "what helps"), [*advised, *_OTHER_FINDINGS])


def settings_of_transfer() -> Iterator[str]:
    """The entries of `TRANSFER`."""
    return table(("entry", "says", "default"), map(_entry, fields(TransferSettings)))


def settings_of_files() -> Iterator[str]:
    """The entries of one file of `TRANSFER["FILES"]`."""
    rows = ((code(each.name), *_entry(each)[1:]) for each in fields(FileSettings))
    return table(("entry of a file", "says", "default"), rows)


def _entry(entry: Field[Any]) -> tuple[str, str, str]:
    return code(entry.name.upper()), entry.metadata["says"], entry.metadata["shown"]
