"""What helps against findings, by their kind. docs/reference/reports.md says the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from stillme.transfer.conf import conf
from stillme.transfer.findings import FindingKind as Kind

_STRUCTURE = (
    "`manage.py migrate`, where a migration did not run; `manage.py import_sqlite` builds again "
    "what an interrupted import took down; what somebody changed by hand goes back by hand "
    "(docs/reference/schema.md)"
)
ADVICE: tuple[tuple[tuple[Kind, ...], str], ...] = (
    ((Kind.MISSING_ROW, Kind.COUNT), "`manage.py import_sqlite` loads rows that are missing"),
    (
        (Kind.VALUE, Kind.KEPT_CELL, Kind.QUARANTINE_KEPT_ROW),
        "`manage.py import_sqlite` brings in what changed in the legacy file; what somebody "
        "changed in PostgreSQL stays until `manage.py import_sqlite --overwrite`",
    ),
    (
        (Kind.EXTRA_ROW,),
        "`manage.py import_sqlite --prune` deletes rows that vanished from the legacy file; with "
        "--overwrite also those that somebody added or changed in PostgreSQL",
    ),
    (
        (Kind.MISSING_LEGACY,),
        f"put the file, table or folder back, or set its path ({conf().paths}); "
        "nothing was deleted in PostgreSQL",
    ),
    ((Kind.SEQUENCE,), "`manage.py import_sqlite` sets it"),
    (
        (
            Kind.MISSING_TABLE,
            Kind.TABLE,
            Kind.COLUMN,
            Kind.CONSTRAINT,
            Kind.INDEX,
            Kind.FOREIGN_KEY,
        ),
        _STRUCTURE,
    ),
)


# While PostgreSQL is in charge `import_sqlite` is refused, and would bring back old rows.
_LIVE: tuple[tuple[tuple[Kind, ...], str], ...] = (
    (
        (Kind.MISSING_ROW, Kind.COUNT, Kind.VALUE, Kind.KEPT_CELL, Kind.QUARANTINE_KEPT_ROW,
         Kind.EXTRA_ROW),
        "PostgreSQL is in charge, and reverse capture knows of no write to these rows: "
        "`manage.py migration_status` says whether it is healthy. What the frozen file holds is "
        "shown as expected: correct the row in PostgreSQL by hand, or a backup of it",
    ),
    ((Kind.SEQUENCE,), "set it by hand: SELECT setval(pg_get_serial_sequence(table, key), number)"),
    (
        (Kind.MISSING_TABLE, Kind.TABLE, Kind.COLUMN, Kind.CONSTRAINT, Kind.INDEX,
         Kind.FOREIGN_KEY),
        "`manage.py migrate`, where a migration did not run; what somebody changed by hand goes "
        "back by hand (docs/reference/schema.md)",
    ),
)  # fmt: skip
_FOLLOW = (
    "`manage.py sync_sqlite --follow` brings in what the old application wrote since the rollback"
)


def advice(found: Collection[str], states: Collection[str] = ()) -> list[tuple[str, str]]:
    """Pairs of kinds, as one text, and a sentence, for the kinds that were found.

    `states` are those of the files: what a state refuses is not advised.
    """
    chosen = ADVICE
    if "finished" in states:
        # Nothing is compared any more, and nothing is done.
        return []
    if "live" in states:
        answered = {kind for kinds, _ in _LIVE for kind in kinds}
        rest = tuple(pair for pair in ADVICE if not answered & set(pair[0]))
        chosen = (*_LIVE, *rest)
    elif "rolled back" in states:
        chosen = (((Kind.MISSING_ROW, Kind.EXTRA_ROW, Kind.VALUE, Kind.COUNT), _FOLLOW), *ADVICE)
    pairs = (
        (", ".join(kind.value for kind in kinds if kind.value in found), sentence)
        for kinds, sentence in chosen
    )
    first = _ALONE if "following" in states else ""
    return [
        (kinds, first + sentence if "import_sqlite" in sentence else sentence)
        for kinds, sentence in pairs
        if kinds
    ]


# An import and a follower never write at the same time: the import would be refused.
_ALONE = "end the follower (SIGTERM), where one runs; then "


def states_of(files: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The states of the files of a report."""
    return {str(file.get("state", "")) for file in files.values()}
