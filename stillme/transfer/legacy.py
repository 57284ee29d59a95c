"""LegacyModel: one unmanaged, read-only model per legacy table.

It is at once the declared schema of the table and its mapping to the target: each `Column`
names its kind (what a stored value means), the type text of its declaration, and the target
column where that has another name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.apps.registry import Apps
from django.db import models

from stillme.transfer.errors import LegacyReadOnly
from stillme.transfer.identity import TableId
from stillme.transfer.kinds import Kind, Twin, WhenSet

# Storage class -> the Django type whose lookups fit such values.
_FIELD_TYPES = {"integer": "BigIntegerField", "real": "FloatField", "text": "TextField"}

# The target column that keeps, as JSON, the legacy columns that nobody declared.
EXTRA_COLUMN = "legacy_extra"

# Legacy models live in a registry of their own. In Django's they would turn up in every domain's
# migrations, content types, permissions, `dumpdata` and `flush`, although nothing of theirs is in
# the target database; reading through the ORM needs none of that.
legacy_apps = Apps([])


class Column(models.Field):  # type: ignore[type-arg]
    """A legacy column: `kind`, its declaration (``TEXT NOT NULL``), and its target's name.

    Values read through the ORM are what SQLite stores, unconverted: a timestamp is the stored
    text, JSON is the stored text.
    """

    def __init__(self, kind: Kind, declared: str, *, to: str | None = None, **options: Any) -> None:
        self.kind = kind
        self.declared = declared
        self.to = to
        options.setdefault("primary_key", "PRIMARY KEY" in declared)
        super().__init__(null="NOT NULL" not in declared, **options)

    @property
    def is_key(self) -> bool:
        """Whether it is (part of) the table's key: by its kind, or as `primary_key` says."""
        return self.kind.is_key or self.primary_key

    @property
    def target_name(self) -> str:
        """The target column's name."""
        return self.to or str(self.column)

    def deconstruct(self) -> Any:
        """As constructed: `null` follows from the declaration."""
        name, path, _, kwargs = super().deconstruct()
        kwargs.pop("null", None)
        if self.to is not None:
            kwargs["to"] = self.to
        return name, path, [self.kind, self.declared], kwargs

    def get_internal_type(self) -> str:
        """The Django type whose lookups fit the stored values."""
        return _FIELD_TYPES.get(self.kind.storage, "BinaryField")


@dataclass(frozen=True, slots=True)
class LegacyOptions:
    """The mapping of a legacy table, from the model's inner class `Legacy`.

    `file` is the short name of the file (``rss``), `target` the target model (``rss.FetchItem``),
    `clock` the pair of columns that shows the local clock's offset row by row, `derived` the
    target columns that are computed by rule, `indexes` the named indexes that the old
    application declares (name -> column).
    """

    file: str
    target: str
    clock: Twin | None = None
    derived: dict[str, WhenSet] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)


class ReadOnlyQuerySet(models.QuerySet[Any]):
    """Reads work, writes are refused before they reach SQLite."""

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise LegacyReadOnly(refusal(self.model))

    create = update = delete = bulk_create = bulk_update = _refuse
    get_or_create = update_or_create = _refuse
    delete.queryset_only = True  # type: ignore[attr-defined]


def refusal(model: type[models.Model]) -> str:
    """The sentence for any attempt to write to a legacy table."""
    return (
        f"The legacy table {model._meta.db_table} is read-only: write to the target model instead."
    )


class LegacyModel(models.Model):
    """Base of all legacy models. `Model.Legacy` becomes `Model.legacy`, a `LegacyOptions`."""

    legacy: ClassVar[LegacyOptions]
    objects = ReadOnlyQuerySet.as_manager()

    class Meta:
        abstract = True
        managed = False
        apps = legacy_apps

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Read the inner class `Legacy` of a concrete model."""
        super().__init_subclass__(**kwargs)
        declared = cls.__dict__.get("Legacy")
        if declared is not None:
            options = {k: v for k, v in vars(declared).items() if not k.startswith("_")}
            cls.legacy = LegacyOptions(**options)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused."""
        raise LegacyReadOnly(refusal(type(self)))

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Refused."""
        raise LegacyReadOnly(refusal(type(self)))

    @classmethod
    def columns(cls) -> list[Column]:
        """The declared columns, in the order of the declaration."""
        return [f for f in cls._meta.local_fields if isinstance(f, Column)]

    @classmethod
    def identity(cls) -> TableId:
        """The file and the table."""
        return TableId(cls.legacy.file, cls._meta.db_table)

    @classmethod
    def target_model(cls) -> type[models.Model]:
        """The target model."""
        from django.apps import apps

        return apps.get_model(cls.legacy.target)

    @classmethod
    def keeps_extra(cls) -> bool:
        """Whether the target keeps columns that nobody declared.

        A column of that name that the legacy table has itself is one like any other.
        """
        if any(column.target_name == EXTRA_COLUMN for column in cls.columns()):
            return False
        fields = cls.target_model()._meta.local_concrete_fields
        return any(field.column == EXTRA_COLUMN for field in fields)
