"""The file after other hands wrote to it: every odd value ends as docs/reference/values.md says.

A row is *repaired* (loaded, the original of the cell kept under the reason) or *quarantined* (set
aside whole, with the reason); the judge agrees with the loader about each.
"""

from __future__ import annotations

import pytest

from tests.django_shop.support import Project

pytestmark = pytest.mark.django_db(transaction=True)

UID = "5B7C9F2E-1D4A-4E6B-8C3D-0A1B2C3D4E5F"

# (column of stall_item, SQL of the stored value, reason); each in a row of its own, from id 1 on.
# SQLite itself makes numbers of some texts: they are loaded, and no original is kept.
REPAIRED = [
    ("is_sold", "'true'", "boolean_text"),
    ("is_sold", "1.0", ""),
    ("price", "'12.50'", ""),
    ("uid", f"'{UID}'", "uuid_shape"),
    ("uid", "'5B7C9F2E1D4A4E6B8C3D0A1B2C3D4E60'", "uuid_shape"),
    ("seen", "'2026-03-01T12:00:00'", "time_shape"),
    ("seen", "'2026-03-01 12:00:00+02:00'", "time_shape"),
    ("released", "'2026-03-01 00:00:00'", "time_shape"),
    ("opens", "'12:30'", "time_shape"),
    ("data", "'not JSON'", "not_json"),
    ("data", "'{\"a\": NaN}'", "not_finite"),
    ("stock", "'7'", ""),
    ("score", "3", ""),
    ("ip", "'2001:DB8:0::1'", "address_shape"),
    ("blob", "'text'", "text_in_binary"),
]
# The same, set aside.
ASIDE = [
    ("is_sold", "2", "not_a_boolean"),
    ("is_sold", "'yes'", "not_a_boolean"),
    ("price", "'abc'", "not_a_number"),
    ("price", "0.1 + 0.2", "beyond_places"),
    ("price", "1e12", "out_of_range"),
    ("price", "-1", "refused_by_target"),
    ("name", "replace(hex(zeroblob(31)), '0', 'é')", "too_long"),
    ("name", "X'41'", "blob"),
    ("uid", "'nothing'", "not_a_uuid"),
    ("seen", "'yesterday'", "unreadable_time"),
    ("released", "'2026-02-30'", "unreadable_time"),
    ("opens", "'24:00:00'", "unreadable_time"),
    ("warranty", "'1 day'", "not_a_number"),
    ("tiny", "40000", "out_of_range"),
    ("stock", "-1", "out_of_range"),
    ("ip", "'10.0.0.010'", "not_an_address"),
    ("shelf_id", "999", "missing_parent"),
]
ORPHANS = (
    "INSERT INTO stall_item_makers (item_id, maker_id) VALUES (999, 'maker-1'), (60, 'nobody')",
    "INSERT INTO stall_customer_groups (customer_id, group_id) VALUES (1, 77)",
)


@pytest.mark.slow
def test_every_odd_value_ends_as_the_table_says(project: Project) -> None:
    """One import, one proof; the outcomes are compared in one list, so that a slip names itself."""
    project.legacy("PRAGMA journal_mode = DELETE")
    spoil(project)
    project.new("migrate", "-v0")
    project.new("import_sqlite")
    kept = project.target(
        'SELECT key, "column", reason FROM transfer.kept_cell WHERE "table" = \'stall_item\''
    )
    aside = project.target('SELECT "table", key, reason FROM transfer.quarantined_row')
    first = len(REPAIRED) + 1
    assert sorted(kept) == sorted(
        [str(n), column, reason] for n, (column, _, reason) in enumerate(REPAIRED, 1) if reason
    )
    assert sorted(row[1:] for row in aside if row[0] == "stall_item") == sorted(
        [str(n), reason] for n, (_, _, reason) in enumerate(ASIDE, first)
    )
    assert not [row for row in aside if row[:2] == ["stall_opinion", "179"]]
    said = project.new("verify_migration", status=1)
    assert "NOT PROVEN" in said
    numbers = project.target("SELECT id::text FROM transfer.quarantined_row")
    project.new("quarantine", "accept", *(n for (n,) in numbers), "--note", "spoiled")
    assert "PROVEN: all" in project.new("verify_migration", "--round-trip")


@pytest.mark.slow
def test_functions_of_somebody_on_the_path_hide_nothing(project: Project) -> None:
    """They fit a varchar better than PostgreSQL's own, and show the judge the name that was."""
    project.new("migrate", "-v0")
    project.new("import_sqlite")
    was = "CASE WHEN {0} = 'evil' THEN (SELECT name FROM public.was) ELSE {0} END::text"
    body = "LANGUAGE sql AS $$ SELECT pg_catalog.{} $$"
    done = (
        "CREATE TABLE public.was AS SELECT name FROM stall_item WHERE id = 7",
        "UPDATE stall_item SET name = 'evil' WHERE id = 7",
        "CREATE FUNCTION public.octet_length(varchar) RETURNS int "
        + body.format(f"octet_length({was.format('$1')})"),
        "CREATE FUNCTION public.glue(text, varchar) RETURNS text "
        + body.format(f"textcat($1, {was.format('$2')})"),
        "CREATE OPERATOR public.|| (leftarg = text, rightarg = varchar, function = public.glue)",
    )
    code = "from django.db import connection; connection.cursor().execute({!r})"
    project.shell("new", code.format("; ".join(done)))
    said = project.new("verify_migration", status=1)
    assert "value: public.stall_item:name id=7" in said
    assert "found 'evil'" in said


def spoil(project: Project) -> None:
    """Make the hostile twin of the file."""
    for number, (column, value, _) in enumerate([*REPAIRED, *ASIDE], 1):
        project.legacy(f"UPDATE stall_item SET {column} = {value} WHERE id = {number}")
    # Its field has no constraint: loaded as it is.
    project.legacy("UPDATE stall_opinion SET maker_id = 'nobody' WHERE id = 179")
    for statement in ORPHANS:
        project.legacy(statement)
