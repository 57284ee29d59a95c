"""What helps against findings, by their kind. docs/verification.md says the same."""

from __future__ import annotations

from collections.abc import Collection

from stillme.transfer.findings import FindingKind as Kind

_STRUCTURE = (
    "`manage.py migrate`, where a migration did not run; `manage.py import_sqlite` builds again "
    "what an interrupted import took down; what somebody changed by hand goes back by hand "
    "(docs/schema.md)"
)
_ADVICE: tuple[tuple[tuple[Kind, ...], str], ...] = (
    ((Kind.MISSING_ROW, Kind.COUNT), "`manage.py import_sqlite` loads rows that are missing"),
    (
        (Kind.VALUE, Kind.KEPT_CELL, Kind.QUARANTINE_KEPT_ROW),
        "`manage.py import_sqlite` brings in what changed in the legacy file; what somebody "
        "changed in PostgreSQL stays until `manage.py import_sqlite --overwrite`",
    ),
    (
        (Kind.EXTRA_ROW,),
        "`manage.py import_sqlite --prune` deletes rows that vanished from the legacy file; one "
        "that somebody added or changed in PostgreSQL is theirs, to be deleted by hand",
    ),
    (
        (Kind.MISSING_LEGACY,),
        "put the file, table or folder back, or set its path (LEGACY_DATA_DIR, "
        "LEGACY_<NAME>_PATH); nothing was deleted in PostgreSQL",
    ),
    ((Kind.SEQUENCE,), "`manage.py import_sqlite` sets it"),
    (
        (Kind.MISSING_TABLE, Kind.COLUMN, Kind.CONSTRAINT, Kind.INDEX, Kind.FOREIGN_KEY),
        _STRUCTURE,
    ),
)


def advice(found: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of kinds, as one text, and a sentence, for the kinds that were found."""
    pairs = (
        (", ".join(kind.value for kind in kinds if kind.value in found), sentence)
        for kinds, sentence in _ADVICE
    )
    return [pair for pair in pairs if pair[0]]
