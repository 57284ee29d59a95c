"""docs/reference/schema.md: both schemas, the mapping and diagrams, from the models alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.db import connections, models
from django.db.models.functions import Now

from stillme.transfer import kinds
from stillme.transfer.conf import conf
from stillme.transfer.legacy import Column, LegacyModel
from stillme.transfer.mapping import split_table
from stillme.transfer.registry import legacy_models

ENGINE = "transfer"
COMMAND = "python manage.py inspect_sqlite --schema-doc docs/reference/schema.md"

_INTRODUCTION = """\
# The schema: legacy files, target, and what goes where

Generated from the models by `{command}`; edit those, not this page. What becomes of each stored
value is in [values.md](values.md).

A legacy column goes to the target column named next to it. A column of a legacy file that is not
declared here goes to the target column of the same name if there is one, else into
`legacy_extra`. A target column without a legacy column takes its default; a time stays NULL."""


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def schema_document() -> str:
    """The whole page. Needs no legacy file and no server."""
    parts = [_INTRODUCTION.format(command=COMMAND), "## The target at a glance", *_diagrams()]
    for file, entry in conf().files.items():
        parts += _file(file, entry.path.name)
    parts += _rest()
    return "\n\n".join(parts) + "\n"


def _diagrams() -> Iterator[str]:
    """One per schema: nothing refers from one to another."""
    for schema, found in _target_models().items():
        if schema != ENGINE:
            yield _diagram(schema, found)


def _target_models() -> dict[str, list[type[models.Model]]]:
    """Schema -> its models, in the order of their tables' declaration."""
    found: dict[str, list[type[models.Model]]] = {}
    for model in apps.get_models():
        schema, _ = split_table(model._meta.db_table)
        if '"."' in model._meta.db_table:
            found.setdefault(schema, []).append(model)
    return dict(sorted(found.items(), key=lambda item: item[0] == ENGINE))


def _file(file: str, name: str) -> Iterator[str]:
    yield f"## Legacy file `{name}`"
    for model in legacy_models(file):
        yield from _table(model)


def _table(model: type[LegacyModel]) -> Iterator[str]:
    target = model.target_model()
    yield f"### `{model._meta.db_table}` to `{_plain(target)}`"
    yield _first_line(target)
    fields = {field.column: field for field in target._meta.local_concrete_fields}
    rows = [_mapped(column, fields.pop(column.target_name)) for column in model.columns()]
    rows += [("", "", _origin(model, field), *_target(field)) for field in fields.values()]
    yield markdown_table(
        ("legacy column", "declared", "meaning", "target column", "type", "default"), rows
    )
    yield from _notes(model)
    yield from _objects(target)


def _first_line(model: type[models.Model]) -> str:
    """The first line of a model's own documentation."""
    return (model.__doc__ or "").strip().splitlines()[0]


def _plain(model: type[models.Model]) -> str:
    return ".".join(split_table(model._meta.db_table))


def _mapped(column: Column, field: models.Field) -> tuple[str, ...]:  # type: ignore[type-arg]
    legacy = (f"`{column.column}`", f"`{column.declared}`", column.kind.meaning)
    return (*legacy, *_target(field))


def _target(field: models.Field) -> tuple[str, str, str]:  # type: ignore[type-arg]
    return f"`{field.column}`", _type(field), _default(field)


def _origin(model: type[LegacyModel], field: models.Field) -> str:  # type: ignore[type-arg]
    """Where the value of a target column that the legacy never had comes from."""
    rule = model.legacy.derived.get(str(field.column))
    if rule is not None:
        return f"`{rule.then}` where `{rule.column}` is set, else `{rule.otherwise}`"
    if field.column == "legacy_extra":
        return "undeclared columns of the file"
    if field.null and isinstance(field, models.DateTimeField):
        return "NULL in imported rows"
    return "its default in imported rows"


def _notes(model: type[LegacyModel]) -> Iterator[str]:
    if model.legacy.clock is not None:
        twin = model.legacy.clock
        yield (
            f"Clock: `{twin.local}` (local) and `{twin.utc}` (UTC) are stamped by the same INSERT; "
            "their difference shows the offset of the row."
        )
    if model.legacy.indexes:
        listed = ", ".join(f"`{name}` ({column})" for name, column in model.legacy.indexes.items())
        yield f"Legacy indexes: {listed}."
    references = [
        f"`{c.column}` to `{c.kind.parent}`"
        for c in model.columns()
        if isinstance(c.kind, kinds.Reference)
    ]
    if references:
        yield f"References: {', '.join(references)}; a row without its parent is quarantined."


def _objects(target: type[models.Model]) -> Iterator[str]:
    lines = [f"- {text}" for text in _structure(target)]
    if lines:
        yield "\n".join([f"In the target `{_plain(target)}`:", "", *lines])


def _rest() -> Iterator[str]:
    """Target tables that no legacy table describes: vectors, and the engine's own."""
    described = {model.target_model() for model in legacy_models()}
    for schema, found in _target_models().items():
        rest = [model for model in found if model not in described]
        if not rest:
            continue
        yield f"## Schema `{schema}`"
        if schema == ENGINE:
            rows = [(f"`{_plain(model)}`", _first_line(model)) for model in rest]
            yield "The engine's own tables."
            yield markdown_table(("table", "what it holds"), rows)
            continue
        for model in rest:
            yield from _target_table(model)


def _target_table(model: type[models.Model]) -> Iterator[str]:
    yield f"### `{_plain(model)}`"
    yield _first_line(model)
    rows = [_target(field) for field in model._meta.local_concrete_fields]
    yield markdown_table(("column", "type", "default"), rows)
    yield from _objects(model)


def _type(field: models.Field) -> str:  # type: ignore[type-arg]
    """``text, required``. Asks Django's tables of types, not a server."""
    name = field.db_type(connections["default"]) or ""
    words = name.replace("timestamp with time zone", "timestamptz")
    if field.primary_key:
        return f"{words}, key"
    return words if field.null else f"{words}, required"


def _default(field: models.Field) -> str:  # type: ignore[type-arg]
    """The database default; empty where there is none."""
    if not field.has_db_default():
        return "identity" if isinstance(field, models.AutoField | models.BigAutoField) else ""
    default: Any = field.db_default
    if isinstance(default, Now):
        return "now"
    value = getattr(default, "value", default)
    return f"`{value}`"


def _structure(model: type[models.Model]) -> Iterator[str]:
    """Indexes and constraints, a line each: what Django makes by the model's Meta as its SQL."""
    connection = connections["default"]
    editor = connection.SchemaEditorClass(connection, collect_sql=True, atomic=False)
    for each in model._meta.indexes:
        yield f"`{each.create_sql(model, editor)}`"
    for field in model._meta.local_concrete_fields:
        if isinstance(field, models.ForeignKey):
            parent = field.related_model._meta.db_table.replace('"', "")
            yield f"{field.column} references {parent}"
        if field.unique and not field.primary_key:
            yield f"{field.column} is unique"
        elif getattr(field, "db_index", False) and not field.unique:
            yield f"index on {field.column}"
    for constraint in model._meta.constraints:
        yield f"`{constraint.create_sql(model, editor)}`"


def _diagram(schema: str, found: Sequence[type[models.Model]]) -> str:
    """One `erDiagram` of the tables of one schema."""
    lines = ["```mermaid", "---", f"title: {schema}", "---", "erDiagram"]
    for model in found:
        lines += _entity(model)
    for model in found:
        lines += _relations(model)
    return "\n".join([*lines, "```"])


def _name(model: type[models.Model]) -> str:
    return split_table(model._meta.db_table)[1]


def _entity(model: type[models.Model]) -> list[str]:
    lines = [f"    {_name(model)} {{"]
    for field in model._meta.local_concrete_fields:
        mark = " PK" if field.primary_key else " FK" if field.is_relation else ""
        lines.append(f"        {_one_word(field)} {field.column}{mark}")
    return [*lines, "    }"]


def _one_word(field: models.Field) -> str:  # type: ignore[type-arg]
    """One word: the diagram's language takes no spaces in a type."""
    name = (field.db_type(connections["default"]) or "").split("(")[0]
    words = {"timestamp with time zone": "timestamptz", "double precision": "double"}
    return words.get(name, name).replace(" ", "_").replace("[]", "_array")


def _relations(model: type[models.Model]) -> list[str]:
    return [
        f"    {_name(field.related_model)} ||--o{{ {_name(model)} : {field.column}"
        for field in model._meta.local_concrete_fields
        if isinstance(field, models.ForeignKey)
    ]
