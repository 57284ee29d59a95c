"""Tables of a stock Django project, by the shape of their keys, for tests alone.

Each model makes three things: its table in the file (as Django's SQLite backend makes it), its
table in PostgreSQL (schema public), and the legacy model that maps the one to the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps.registry import Apps
from django.db import connection, models
from django.db.models.functions import Lower
from django.db.utils import ConnectionHandler

from stillme.transfer.kinds import Integer, Key, Kind, Reference, Text, TextKey, Uuid
from stillme.transfer.legacy import Column, LegacyModel
from stillme.transfer.postgresql import capture as reverse
from stillme.transfer.postgresql.capture import target_tables

KEYED = Apps([])


class Keyed(models.Model):
    """Base: nothing of it is in Django's registry."""

    class Meta:
        apps = KEYED
        app_label = "accuracy"
        abstract = True


class Account(Keyed):
    """A text key."""

    code = models.CharField(max_length=20, primary_key=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_account"


class Profile(Keyed):
    """A key that refers to a text key."""

    account = models.OneToOneField(Account, models.CASCADE, primary_key=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_profile"


class Avatar(Keyed):
    """A key that refers to such a key."""

    profile = models.OneToOneField(Profile, models.CASCADE, primary_key=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_avatar"


class Token(Keyed):
    """A text key, and a reference to another one that may be NULL."""

    key = models.CharField(max_length=40, primary_key=True)
    account = models.ForeignKey(Account, models.CASCADE, null=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_token"


class Place(Keyed):
    """An integer key of 32 bits."""

    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_place"


class Restaurant(Keyed):
    """The child table of multi-table inheritance."""

    place_ptr = models.OneToOneField(Place, models.CASCADE, primary_key=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_restaurant"


class Seat(Keyed):
    """A many-to-many table: an integer and a text reference, unique together."""

    id = models.BigAutoField(primary_key=True)
    restaurant = models.ForeignKey(Restaurant, models.CASCADE)
    account = models.ForeignKey(Account, models.CASCADE)
    name = models.CharField(max_length=40, default="")

    class Meta(Keyed.Meta):
        db_table = "k_seat"
        constraints = [
            models.UniqueConstraint(fields=["restaurant", "account"], name="k_seat_once")
        ]


class Folder(Keyed):
    """A text key, and a reference to the same table."""

    path = models.CharField(max_length=40, primary_key=True)
    within = models.ForeignKey("self", models.CASCADE, null=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_folder"


class Device(Keyed):
    """A UUID as its key."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_device"


class Plate(Keyed):
    """A key that refers to such a key."""

    device = models.OneToOneField(Device, models.CASCADE, primary_key=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_plate"


class Reading(Keyed):
    """A reference to such a key, which may be NULL."""

    id = models.BigAutoField(primary_key=True)
    device = models.ForeignKey(Device, models.CASCADE, null=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_reading"


class Album(Keyed):
    """Refers to a photo, which refers to an album; and to the album that it is in."""

    code = models.CharField(max_length=20, primary_key=True)
    cover = models.ForeignKey("Photo", models.CASCADE, null=True, related_name="+")
    within = models.ForeignKey("self", models.CASCADE, null=True)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_album"


class Photo(Keyed):
    """Refers to an album."""

    id = models.BigAutoField(primary_key=True)
    album = models.ForeignKey(Album, models.CASCADE)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_photo"


class Print(Keyed):
    """Refers to a table of the circle."""

    id = models.BigAutoField(primary_key=True)
    photo = models.ForeignKey(Photo, models.CASCADE)
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_print"


class Item(Keyed):
    """Every constraint that a model can declare."""

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=10, unique=True)
    a = models.IntegerField()
    b = models.IntegerField()
    name = models.CharField(max_length=40)

    class Meta(Keyed.Meta):
        db_table = "k_item"
        indexes = [
            models.Index(Lower("code"), name="k_item_lower_code"),
            models.Index(fields=["a"], condition=models.Q(b__gt=0), name="k_item_some"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["a", "b"], name="k_item_pair", deferrable=models.Deferrable.DEFERRED
            ),
            models.UniqueConstraint(Lower("name"), name="k_item_lower"),
            models.UniqueConstraint(
                fields=["b"], condition=models.Q(b__gt=10), name="k_item_large_b"
            ),
            models.CheckConstraint(condition=models.Q(a__lt=models.F("b")), name="k_item_order"),
        ]


CIRCLE: list[type[models.Model]] = [Album, Photo, Print]
SHAPES: list[type[models.Model]] = [
    Account, Profile, Avatar, Token, Place, Restaurant, Seat, Folder, Device, Plate, Reading,
]  # fmt: skip


def kind_of(field: Any) -> Kind:
    """What a field's values mean."""
    if isinstance(field, models.ForeignKey):
        return Reference(field.related_model._meta.db_table, kind_of(field.target_field))
    if isinstance(field, models.AutoField | models.BigAutoField):
        return Key()
    if isinstance(field, models.IntegerField):
        return Integer()
    if isinstance(field, models.UUIDField):
        return Uuid()
    return TextKey() if field.primary_key else Text()


def legacy_models_of(shapes: Sequence[type[models.Model]]) -> Apps:
    """A registry of their legacy models, in the file `accuracy`."""
    found = Apps([])
    sqlite = sqlite_at(Path(":memory:"))
    for model in shapes:
        columns = {
            field.column: Column(
                kind_of(field),
                f"{field.db_type(sqlite)}{'' if field.null else ' NOT NULL'}"
                f"{' PRIMARY KEY' if field.primary_key else ''}",
                primary_key=field.primary_key,
            )
            for field in model._meta.local_concrete_fields
        }
        meta = type(
            "Meta",
            (LegacyModel.Meta,),
            {"apps": found, "app_label": "accuracy", "db_table": model._meta.db_table},
        )
        legacy = type("Legacy", (), {"file": "accuracy", "target": f"accuracy.{model.__name__}"})
        body = {
            "__module__": __name__,
            "Meta": meta,
            "Legacy": legacy,
            "target_model": classmethod(lambda cls, target=model: target),
            **columns,
        }
        type(f"Legacy{model.__name__}", (LegacyModel,), body)
    return found


def sqlite_at(path: Path) -> Any:
    """Django's own connection to a SQLite file."""
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
    return ConnectionHandler({"default": entry})["default"]


@contextmanager
def tables_of(shapes: Sequence[type[models.Model]], path: Path) -> Iterator[None]:
    """The tables on both sides; the target's are dropped in the end."""
    legacy = sqlite_at(path)
    for side in (connection, legacy):
        with side.schema_editor() as editor:
            for model in shapes:
                editor.create_model(model)
    legacy.close()
    yield
    reverse.remove("default", target_tables(["accuracy"]))
    reverse.unfreeze_target("default", target_tables(["accuracy"]))
    with connection.cursor() as cursor:
        for model in reversed(shapes):
            cursor.execute(f'DROP TABLE "{model._meta.db_table}" CASCADE')
