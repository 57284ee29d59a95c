"""Names of tables, taken apart and put together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillme.postgresql.names import Table

identifiers = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters='\0".'), min_size=1, max_size=60
)


@pytest.mark.parametrize(
    ("written", "schema", "name"),
    [
        ("auth_user", None, "auth_user"),
        ('"auth_user"', None, "auth_user"),
        ('"knowledge"."knowledge_items"', "knowledge", "knowledge_items"),
        ('rss"."feeds_tags', "rss", "feeds_tags"),
        ('"odd.schema"."odd ""table"""', "odd.schema", 'odd "table"'),
        ("a.b", None, "a.b"),
    ],
)
def test_every_form_django_passes_around(written: str, schema: str | None, name: str) -> None:
    assert Table.parse(written) == Table(schema, name)


@given(schema=identifiers, name=identifiers)
def test_what_is_quoted_reads_back(schema: str, name: str) -> None:
    table = Table(schema, name)
    assert Table.parse(table.quoted) == table
    assert Table.parse(table.quoted.strip('"')) == table
    assert Table.parse(table.db_table) == table


def test_an_index_is_beside_its_table() -> None:
    assert Table.parse('"s"."t"').beside("i").quoted == '"s"."i"'
    assert Table.parse("t").beside("i").quoted == '"i"'
