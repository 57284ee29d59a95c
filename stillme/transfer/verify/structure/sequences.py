"""Whether the next id is free: worked out from the sequence, as the catalogue has it.

Example: `id` goes up to 40 in the target and went up to 52 in the file. A sequence whose next id is
53 or more is right; one that gives 41 would give an id again that the file gave to another row.

Compared elsewhere: where the column's value comes from and how the sequence is declared
(`table_definition`), triggers and rules (`target_relation`).
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import models

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.mapping import split_table
from stillme.transfer.verify.sides.target_table import select, select_all

_SEQUENCE = """
SELECT pg_get_serial_sequence(%s, attname), attidentity <> '' FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attname = %s
"""
_DECLARED = "SELECT seqincrement, seqmax, seqcycle FROM pg_sequence WHERE seqrelid = '{}'::regclass"
_POSITION = "SELECT last_value, is_called FROM {}"
_SET_BACK = "import_sqlite sets it back behind the ids that are in use"


def check_sequence(alias: str, model: type[models.Model], legacy_mark: int) -> Iterator[Finding]:
    """Yield a finding unless the next id is free and above every id that the legacy ever gave."""
    schema, table = split_table(model._meta.db_table)
    if len(model._meta.pk_fields) > 1:
        # Django gives no part of such a key an id.
        return
    [key] = model._meta.pk_fields
    where, relation = f"{schema}.{table}:{key.column}", f'"{schema}"."{table}"'
    [(name, is_identity)] = select(alias, _SEQUENCE, [relation, relation, key.column])
    if isinstance(key, models.AutoField | models.BigAutoField) and not (name and is_identity):
        yield Finding(FindingKind.SEQUENCE, where, None, "an identity sequence", "none")
    if name is None:
        return
    highest = f'SELECT coalesce(max("{key.column}"), 0) FROM {relation}'
    asked = [_POSITION.format(name), highest, _DECLARED.format(name.replace("'", "''"))]
    [(last, called)], [(greatest,)], [(step, top, begins_again)] = select_all(alias, asked)
    coming = last + step if called else last
    # No row of the target has an id beyond the top, whatever the legacy gave.
    needed = max(int(greatest), legacy_mark if legacy_mark <= top else 0)
    problem, note = "", ""
    if needed >= top:
        # No id is left, on either side.
        return
    if step < 1 or begins_again:
        problem = "a sequence that goes down" if step < 1 else "a sequence that begins again"
    elif coming > top:
        problem, note = "no id left in the sequence", _SET_BACK
    elif coming <= needed:
        problem = f"next id {coming}"
    if problem:
        yield Finding(FindingKind.SEQUENCE, where, None, f"next id above {needed}", problem, note)
