"""DDL on schema-qualified tables: Django's own backend says OK and leaves it; this one does it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, ProgrammingError, connections, models
from django.db.migrations.operations import AlterField, AlterModelTable, RemoveIndex, RenameIndex
from django.db.migrations.state import ProjectState

AUTHOR = '"shelf_people"."author"'
BOOK = '"shelf_books"."book"'


@pytest.fixture
def constraints(ours: Any) -> Callable[[str], set[str]]:
    """The names of the constraints and indexes that a table really has."""

    def names(table: str) -> set[str]:
        with ours.cursor() as cursor:
            cursor.execute(
                "SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(%s) "
                "AND contype <> 'n' UNION SELECT relname FROM pg_index JOIN pg_class "
                "ON oid = indexrelid WHERE indrelid = to_regclass(%s)",
                [table, table],
            )
            return {name for (name,) in cursor.fetchall()}

    return names


def altered(model: Any, name: str, field: models.Field) -> tuple[Any, Any, Any]:
    """The arguments of `alter_field` for a field of a model."""
    field.set_attributes_from_name(name)
    field.model = model
    if field.remote_field and isinstance(field.remote_field.model, str):
        field.remote_field.model = model._meta.apps.get_model(field.remote_field.model)
    return model, model._meta.get_field(name), field


def alter(connection: Any, arguments: tuple[Any, Any, Any]) -> None:
    with connection.schema_editor() as editor:
        editor.alter_field(*arguments)


def test_the_schema_is_made_before_its_first_table(shelf: Any, ours: Any, stock: Any) -> None:
    with ours.cursor() as cursor:
        cursor.execute("DROP SCHEMA shelf_people CASCADE")
    with pytest.raises(ProgrammingError, match='schema "shelf_people" does not exist'):
        with stock.schema_editor() as editor:
            editor.create_model(shelf.Author)
    with ours.schema_editor() as editor:
        editor.create_model(shelf.Author)
    assert AUTHOR in ours.introspection.table_names()


def test_making_a_table_wants_no_right_to_make_schemas(shelf: Any, ours: Any) -> None:
    with ours.schema_editor() as editor:
        editor.delete_model(shelf.Book)
    with ours.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS shelf_writer")
        cursor.execute("CREATE ROLE shelf_writer")
        cursor.execute(
            "GRANT CREATE, USAGE ON SCHEMA shelf_books, shelf_people, public TO shelf_writer"
        )
        cursor.execute(
            "GRANT REFERENCES ON ALL TABLES IN SCHEMA shelf_people, public TO shelf_writer"
        )
        cursor.execute("SET ROLE shelf_writer")
        try:
            with ours.schema_editor() as editor:
                editor.create_model(shelf.Book)
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute("DROP OWNED BY shelf_writer; DROP ROLE shelf_writer")


def test_dropping_a_unique(
    shelf: Any, ours: Any, stock: Any, constraints: Callable[[str], set[str]]
) -> None:
    change = altered(shelf.Author, "name", models.CharField(max_length=50))
    before = constraints(AUTHOR)
    alter(stock, change)
    assert constraints(AUTHOR) == before, "the stock backend leaves the constraint"
    alter(ours, change)
    gone = before - constraints(AUTHOR)
    assert {name.rsplit("_", 1)[-1] for name in gone} == {"key", "like"} or len(gone) == 2
    shelf.Author.objects.using("ours").create(name="twice")
    shelf.Author.objects.using("ours").create(name="twice")


def test_dropping_an_index(
    shelf: Any, ours: Any, stock: Any, constraints: Callable[[str], set[str]]
) -> None:
    change = altered(shelf.Author, "email", models.TextField(default=""))
    before = constraints(AUTHOR)
    alter(stock, change)
    assert constraints(AUTHOR) == before, "the stock backend leaves the index"
    alter(ours, change)
    assert not [name for name in constraints(AUTHOR) if "email" in name and "like" not in name]


def test_an_index_that_is_still_to_be_made_is_dropped(
    shelf: Any, ours: Any, constraints: Callable[[str], set[str]]
) -> None:
    """Its CREATE INDEX waits for the end of the migration, in which the field loses it again."""
    before, added = constraints(AUTHOR), models.CharField(max_length=9, default="", unique=True)
    added.set_attributes_from_name("nick")
    added.model = shelf.Author
    without = models.CharField(max_length=9, default="")
    without.set_attributes_from_name("nick")
    without.model = shelf.Author
    with ours.schema_editor() as editor:
        editor.add_field(shelf.Author, added)
        editor.alter_field(shelf.Author, added, without)
    assert constraints(AUTHOR) == before


def test_dropping_a_foreign_key(
    shelf: Any, ours: Any, stock: Any, constraints: Callable[[str], set[str]]
) -> None:
    change = altered(
        shelf.Book, "author", models.ForeignKey("shelf.Author", models.CASCADE, db_constraint=False)
    )
    before = constraints(BOOK)
    alter(stock, change)
    assert constraints(BOOK) == before, "the stock backend leaves the foreign key"
    alter(ours, change)
    assert [name for name in before - constraints(BOOK) if "_fk_" in name]
    shelf.Book.objects.using("ours").create(author_id=999, title="orphan")


def test_a_pending_foreign_key_check_runs_before_it_is_dropped(shelf: Any, ours: Any) -> None:
    """SET CONSTRAINTS has to find the constraint in its schema."""
    change = altered(
        shelf.Book, "author", models.ForeignKey("shelf.Author", models.CASCADE, db_constraint=False)
    )
    with pytest.raises(DatabaseError, match="violates foreign key"):
        with ours.schema_editor() as editor:
            shelf.Book.objects.using("ours").create(author_id=999, title="orphan")
            editor.alter_field(*change)


def test_removing_a_named_index(
    shelf: Any, ours: Any, stock: Any, constraints: Callable[[str], set[str]]
) -> None:
    before, operation = state_of(shelf), RemoveIndex("Book", "idx_book_title")
    run(stock, operation, before)
    assert "idx_book_title" in constraints(BOOK), "the stock backend leaves the index"
    run(ours, operation, before)
    assert "idx_book_title" not in constraints(BOOK)


def test_removing_an_index_leaves_its_namesake(
    shelf: Any, ours: Any, constraints: Callable[[str], set[str]]
) -> None:
    with ours.cursor() as cursor:
        cursor.execute("CREATE INDEX idx_book_title ON public.shelf_tag (word)")
    run(ours, RemoveIndex("Book", "idx_book_title"), state_of(shelf))
    assert "idx_book_title" in constraints("shelf_tag")


def test_renaming_an_index(
    shelf: Any, ours: Any, stock: Any, constraints: Callable[[str], set[str]]
) -> None:
    before = state_of(shelf)
    operation = RenameIndex("Book", new_name="idx_new", old_name="idx_book_title")
    with pytest.raises(ProgrammingError):
        run(stock, operation, before)
    run(ours, operation, before)
    assert constraints(BOOK) >= {"idx_new"}


def test_removing_a_conditional_unique(
    shelf: Any, ours: Any, stock: Any, constraints: Callable[[str], set[str]]
) -> None:
    unique = shelf.Book._meta.constraints[0]
    with stock.schema_editor() as editor:
        editor.remove_constraint(shelf.Book, unique)
    assert unique.name in constraints(BOOK), "the stock backend leaves the index"
    with ours.schema_editor() as editor:
        editor.remove_constraint(shelf.Book, unique)
    assert unique.name not in constraints(BOOK)


def test_removing_a_check(shelf: Any, ours: Any, constraints: Callable[[str], set[str]]) -> None:
    with ours.schema_editor() as editor:
        editor.remove_constraint(shelf.Book, shelf.Book._meta.constraints[1])
    assert "year_is_positive" not in constraints(BOOK)


def test_changing_a_primary_key_type(shelf: Any, ours: Any) -> None:
    to_plain = AlterField("Author", "id", models.BigIntegerField(primary_key=True))
    to_auto = AlterField("Author", "id", models.BigAutoField(primary_key=True))
    run(ours, to_auto, run(ours, to_plain, state_of(shelf)))
    assert shelf.Author.objects.using("ours").create(name="A").id == 1


@pytest.mark.parametrize(
    "new_table", ['"shelf_people"."writer"', '"shelf_books"."author"', '"shelf_new"."writer"']
)
def test_renaming_and_moving_a_table(shelf: Any, ours: Any, stock: Any, new_table: str) -> None:
    before, operation = state_of(shelf), AlterModelTable("Author", new_table)
    with pytest.raises(ProgrammingError, match="syntax error"):
        run(stock, operation, before)
    after = run(ours, operation, before)
    author = after.apps.get_model("shelf", "Author").objects.using("ours").create(name="A")
    assert author.pk == 1, "its sequence came along"
    assert new_table in ours.introspection.table_names()
    assert AUTHOR not in ours.introspection.table_names()


@pytest.mark.parametrize(("alias", "found"), [("stock", False), ("ours", True)])
def test_moving_a_table_to_public(shelf: Any, ours: Any, alias: str, found: bool) -> None:
    run(connections[alias], AlterModelTable("Author", "writer"), state_of(shelf))
    assert ("writer" in ours.introspection.table_names()) is found


def test_moving_a_table_out_of_public(shelf: Any, ours: Any) -> None:
    run(ours, AlterModelTable("Tag", '"shelf_books"."tag"'), state_of(shelf))
    assert '"shelf_books"."tag"' in ours.introspection.table_names()


def test_renaming_an_unqualified_table_is_djangos(shelf: Any, ours: Any) -> None:
    run(ours, AlterModelTable("Tag", "label"), state_of(shelf))
    assert "label" in ours.introspection.table_names()


def test_sqlmigrate_shows_the_schema(ours: Any) -> None:
    with ours.schema_editor(collect_sql=True) as editor:
        editor.create_model(model_in("shown"))
    assert editor.collected_sql[0] == 'CREATE SCHEMA IF NOT EXISTS "shown";'


def test_syncdb_makes_schemas(shelf: Any, ours: Any) -> None:
    with ours.schema_editor() as editor:
        for model in (shelf.Book, shelf.Author, shelf.Tag):
            editor.delete_model(model)
    with ours.cursor() as cursor:
        cursor.execute("DROP SCHEMA shelf_books, shelf_people")
    call_command("migrate", "shelf", database="ours", run_syncdb=True, verbosity=0)
    assert BOOK in ours.introspection.table_names()


def model_in(schema: str) -> type[models.Model]:
    from django.apps.registry import Apps

    meta = type("Meta", (), {"app_label": "x", "apps": Apps(), "db_table": f'"{schema}"."t"'})
    return type("Shown", (models.Model,), {"__module__": __name__, "Meta": meta})


def state_of(shelf: Any) -> ProjectState:
    """The migration state of the shelf's models."""
    from django.apps import apps

    return ProjectState.from_apps(apps)


def run(connection: Any, operation: Any, before: ProjectState) -> ProjectState:
    """Apply a migration operation to the database."""
    after = before.clone()
    operation.state_forwards("shelf", after)
    with connection.schema_editor() as editor:
        operation.database_forwards("shelf", editor, before, after)
    return after
