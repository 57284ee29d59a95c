"""Whether the target can take an import: reachable, migrated, and without rows of its own.

After its migrations Django writes content types, permissions and a first site. The file has its
own, under other ids, and other rows of the file name those ids. So the file's win: where such a
table is loaded for the first time, what `migrate` made goes, unless something refers to it.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.apps import apps

from stillme.transfer.errors import TargetError
from stillme.transfer.inventory.applied_migrations import unapplied_migrations
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.mapping import split_table
from stillme.transfer.models import Chunk
from stillme.transfer.postgresql.copy import execute, fetch_all, quoted
from stillme.transfer.postgresql.locks import exclusive_transaction
from stillme.transfer.project.files import is_built
from stillme.transfer.records.required import require_records
from stillme.transfer.registry import legacy_models
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.visible import counted

# Children first.
MADE_BY_MIGRATE = ("auth.Permission", "contenttypes.ContentType", "sites.Site")
_REFERRING = """
SELECT conrelid::regclass::text, attname FROM pg_constraint
JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
WHERE contype = 'f' AND confrelid = to_regclass(%s) ORDER BY 1, 2
"""


def check_target(alias: str) -> None:
    """Raises TargetError where tables are missing, django's OperationalError without a server."""
    require_records(alias)
    targets = (model.target_model() for model in legacy_models())
    wanted = {split_table(model._meta.db_table) for model in targets}
    rows = fetch_all(
        alias,
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s)",
        [sorted({schema for schema, _ in wanted})],
    )
    missing = sorted(wanted - set(rows))
    if missing:
        schema, table = missing[0]
        if schema == "public" and (elsewhere := _schema_in_path(alias, table)):
            raise TargetError(
                f"The target's table {table} is in the schema {elsewhere}, as a search_path says, "
                "and the engine takes tables without a schema from public: put public first in "
                "the search_path, and run `manage.py migrate` again."
            )
        raise TargetError(
            f"The target has no table {schema}.{table}: run `manage.py migrate` first."
        )
    if waiting := unapplied_migrations(alias):
        raise TargetError(
            f"Migrations of the project wait for the target ({', '.join(waiting[:3])}"
            f"{', ...' if len(waiting) > 3 else ''}): run `manage.py migrate` first."
        )


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
    counts = {
        label: fetch_all(alias, f"SELECT count(*) FROM {_relation(label)}")[0][0]
        for label in sorted(carried.keys() - set(MADE_BY_MIGRATE))
    }
    written = {label: int(count) for label, count in counts.items() if count}
    if written and not keep_others:
        raise TargetError(_sentence(written))
    notices = [_sentence(written)] if written else []
    with exclusive_transaction(alias):
        for label in chosen:
            relation = _relation(label)
            _refuse_referred(alias, apps.get_model(label)._meta.db_table, relation)
            if count := execute(alias, f"DELETE FROM {relation}", []):
                rows = counted(count, "row")
                notices.append(f"{rows} of {label} that `migrate` had made gave way to the file's.")
    return notices


def _refuse_referred(alias: str, name: str, relation: str) -> None:
    for table, column in fetch_all(alias, _REFERRING, [relation]):
        referring = f"SELECT count(*) FROM {table} WHERE {quoted(column)} IS NOT NULL"
        count = fetch_all(alias, referring)[0][0]
        if count:
            rows, refer = counted(count, "row"), "refers" if count == 1 else "refer"
            raise TargetError(
                f"{rows} of {table} in PostgreSQL {refer} to rows of {name} that `migrate` "
                "made, and the file's are to take their place. If nothing in these tables was made "
                "by hand, `manage.py empty_target` takes it all out (it shows the rows, and asks); "
                f"else delete those rows of {table}."
            )


def _sentence(written: dict[str, int]) -> str:
    some = ", ".join(f"{label} {rows:,}" for label, rows in list(written.items())[:5])
    more = ", ..." if len(written) > 5 else ""
    return (
        f"PostgreSQL has rows that no import wrote ({some}{more}): a migration of the project made "
        "them, or somebody. `manage.py empty_target` shows them, asks, and takes them out; then "
        "import again. With --overwrite they stay, and those with a key of the file get its values."
    )


def _relation(label: str) -> str:
    return ".".join(map(quoted, split_table(apps.get_model(label)._meta.db_table)))


def _schema_in_path(alias: str, table: str) -> str:
    """The schema of a table that the search path finds; "" where it finds none, or in public."""
    rows = fetch_all(
        alias,
        "SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE c.oid = to_regclass(quote_ident(%s)) AND n.nspname <> 'public'",
        [table],
    )
    return str(rows[0][0]) if rows else ""
