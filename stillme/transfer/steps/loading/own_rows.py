"""Rows that `migrate` made in the target by itself, before the file's rows come.

After its migrations Django writes content types, permissions and a first site. The file has its
own, under other ids, and other rows of the file name those ids. So the file's win: where such a
table is loaded for the first time, what `migrate` made goes, unless something refers to it.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.apps import apps
from django.db import connections, transaction

from stillme.transfer.errors import TargetError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.mapping import split_table
from stillme.transfer.models import Chunk
from stillme.transfer.postgresql.copy import execute, fetch_all, quoted
from stillme.transfer.project.files import is_built
from stillme.transfer.registry import legacy_models
from stillme.transfer.sqlite.copying.snapshot import Snapshot

# Children first.
MADE_BY_MIGRATE = ("auth.Permission", "contenttypes.ContentType", "sites.Site")
_REFERRING = """
SELECT conrelid::regclass::text, attname FROM pg_constraint
JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
WHERE contype = 'f' AND confrelid = to_regclass(%s) ORDER BY 1, 2
"""


def clear_own_rows(
    alias: str, snapshots: Iterable[Snapshot], selection: Selection, *, keep_others: bool
) -> list[str]:
    """Delete those of the selected tables, all or none; returns a sentence for each table.

    Rows of other tables, which a migration or a person wrote, are no rows of the file: they are
    refused, or with `keep_others` told. Only where the project's own models are the mapping.
    Raises TargetError.
    """
    loaded = set(Chunk.objects.using(alias).values_list("file", "table").distinct())
    carried = {
        model.legacy.target: model
        for snapshot in snapshots
        if is_built(snapshot.file)
        for model in legacy_models(snapshot.file)
        if snapshot.schema.table(model._meta.db_table)
        and selection.wants(snapshot.file, model._meta.db_table)
        and model.identity() not in loaded
    }
    chosen = [label for label in MADE_BY_MIGRATE if label in carried]
    others = sorted(carried.keys() - set(MADE_BY_MIGRATE))
    written = {label: count for label in others if (count := _count(alias, label))}
    if written and not keep_others:
        raise TargetError(_sentence(written))
    notices = [_sentence(written)] if written else []
    with transaction.atomic(using=alias, durable=True):
        for label in chosen:
            relation = _relation(label)
            _refuse_referred(alias, apps.get_model(label)._meta.db_table, relation)
            if count := execute(connections[alias], f"DELETE FROM {relation}", []):
                rows = "1 row" if count == 1 else f"{count} rows"
                notices.append(f"{rows} of {label} that `migrate` had made gave way to the file's.")
    return notices


def _refuse_referred(alias: str, name: str, relation: str) -> None:
    connection = connections[alias]
    for table, column in fetch_all(connection, _REFERRING, [relation]):
        referring = f"SELECT count(*) FROM {table} WHERE {quoted(column)} IS NOT NULL"
        count = fetch_all(connection, referring)[0][0]
        if count:
            raise TargetError(
                f"{count} rows of {table} in PostgreSQL refer to rows of {name} that `migrate` "
                "made, and the file's are to take their place. If nothing in these tables was made "
                "by hand, `manage.py empty_target` takes it all out (it shows the rows, and asks); "
                f"else delete those {count} rows of {table}."
            )


def _sentence(written: dict[str, int]) -> str:
    some = ", ".join(f"{label} {rows:,}" for label, rows in list(written.items())[:5])
    more = ", ..." if len(written) > 5 else ""
    return (
        f"PostgreSQL has rows that no import wrote ({some}{more}): a migration of the project made "
        "them, or somebody. `manage.py empty_target` shows them, asks, and takes them out; then "
        "import again. With --overwrite they stay, and those with a key of the file get its values."
    )


def _count(alias: str, label: str) -> int:
    return int(fetch_all(connections[alias], f"SELECT count(*) FROM {_relation(label)}")[0][0])


def _relation(label: str) -> str:
    return ".".join(map(quoted, split_table(apps.get_model(label)._meta.db_table)))
