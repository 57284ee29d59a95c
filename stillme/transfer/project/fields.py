"""What the values of a Django field mean: its class decides, the nearest known ancestor's rule.

A class that says of itself whose column it has (`get_internal_type`) is read like that one.

A field class of your own that is no child of Django's, or has a column type of its own, is made
known by the setting::

    TRANSFER = {"FIELDS": {"shop.fields.MoneyField": kinds.Decimal(12, 2)}, ...}

The value is a kind, or a function that takes the field and returns one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations

from stillme.transfer import kinds
from stillme.transfer.conf import conf
from stillme.transfer.kinds import Kind
from stillme.transfer.project.files import file_of, zone_of

Field = Any  # models.Field; its two type parameters say nothing here
Rule = Callable[[Field], Kind]
_POSTGRESQLS = "django.contrib.postgres."


class UnknownField(Exception):
    """No rule knows the field; the text is a sentence that says what to do."""


def kind_of(field: Field) -> Kind:
    """The kind of a field that is no relation. Raises UnknownField."""
    given = conf().fields
    for ancestor in type(field).__mro__:
        name = f"{ancestor.__module__}.{ancestor.__qualname__}"
        if name in given:
            return _given(name, given[name], field)
        if ancestor in _RULES:
            return _RULES[ancestor](field)
        if ancestor is models.Field:
            # No column type of its own: Django takes that of the class it names (a CharField, say).
            return _by_internal_type(field)
        if "db_type" in vars(ancestor):
            break
        if "get_internal_type" in vars(ancestor):
            # A text that is encrypted is a TextField to the project, and a column of bytes.
            return _by_internal_type(field)
    raise _unknown(field)


def _by_internal_type(field: Field) -> Kind:
    named = getattr(models, field.get_internal_type(), None)
    for ancestor in named.__mro__ if isinstance(named, type) else ():
        if ancestor in _RULES:
            return _RULES[ancestor](field)
    raise _unknown(field)


def _unknown(field: Field) -> UnknownField:
    name = f"{type(field).__module__}.{type(field).__qualname__}"
    if any(ancestor.__module__.startswith(_POSTGRESQLS) for ancestor in type(field).__mro__):
        # Wagtail's search index: another model on each of the two.
        return UnknownField(
            f"{field.model._meta.label}.{field.name} is a {name}, which SQLite does not have: name "
            f'{field.model._meta.label} in TRANSFER["LEAVE_OUT"], and let the project fill its '
            "table in PostgreSQL"
        )
    return UnknownField(
        f"{field.model._meta.label}.{field.name} is a {name}, whose values nobody here knows: say "
        f'what they are in TRANSFER["FIELDS"][{name!r}], or name {field.model._meta.label} in '
        'TRANSFER["LEAVE_OUT"]'
    )


def _given(name: str, rule: Any, field: Field) -> Kind:
    """What the setting says. Raises UnknownField where it says no kind."""
    kind = rule if isinstance(rule, Kind) or not callable(rule) else rule(field)
    if isinstance(kind, Kind):
        return kind
    raise UnknownField(
        f'TRANSFER["FIELDS"][{name!r}] says {kind!r}: give a kind of stillme.transfer.kinds, or a '
        "function that takes the field and returns one"
    )


def _integer(field: Field) -> Kind:
    return kinds.Integer(*BaseDatabaseOperations.integer_field_ranges[field.get_internal_type()])


def _moment(field: Field) -> Kind:
    """An aware time is stored in the zone of its database, a naive one is of the project's own."""
    if not settings.USE_TZ:
        return kinds.Moment(False, settings.TIME_ZONE)
    model = getattr(field, "model", None)
    return kinds.Moment(True, zone_of(file_of(model) if model else None))


def _limited_text(field: Field) -> Kind:
    return kinds.Text(max_length=field.max_length)


_RULES: dict[type, Rule] = {
    models.IntegerField: _integer,
    models.FloatField: lambda field: kinds.Real(),
    models.DecimalField: lambda field: kinds.Decimal(field.max_digits, field.decimal_places),
    models.BooleanField: lambda field: kinds.Boolean(),
    models.CharField: _limited_text,
    models.FileField: _limited_text,
    models.FilePathField: _limited_text,
    models.TextField: lambda field: kinds.Text(),
    models.DateTimeField: _moment,
    models.DateField: lambda field: kinds.Day(),
    models.TimeField: lambda field: kinds.TimeOfDay(),
    models.DurationField: lambda field: kinds.Duration(),
    models.UUIDField: lambda field: kinds.Uuid(),
    models.BinaryField: lambda field: kinds.Binary(),
    models.JSONField: lambda field: kinds.Json(),
    models.GenericIPAddressField: lambda field: kinds.Address(),
}
