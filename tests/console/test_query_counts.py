"""How many queries each page of the admin asks: of every registered model, whatever its rows.

The models come from the admin site itself, so that a new one is measured as soon as it is there.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from stillme.transfer.console.groups import make_groups

pytestmark = pytest.mark.django_db

FEW, MANY = 3, 12
# Session, person and permissions are 6 of them, the count of open rows in quarantine is one, the
# person's saved filters are one.
LIST, FILTERED, DETAIL = 16, 17, 17
# A group's page names the app of each permission, which is Django's own doing.
DJANGOS = 100
PEOPLE = ("viewer", "administrator")
MOMENT = datetime.datetime(2025, 3, 4, 5, tzinfo=datetime.UTC)

autodiscovered = admin.site._registry
MODELS = sorted(autodiscovered, key=lambda model: model._meta.label)


def value(field: models.Field[Any, Any], at: int) -> Any:
    """Something the column takes, different in each row where it is text or a time."""
    if field.choices:
        return field.choices[0][0]
    if isinstance(field, models.DateTimeField):
        return MOMENT + datetime.timedelta(seconds=at)
    if isinstance(field, models.UUIDField):
        return uuid.UUID(int=at)
    if isinstance(field, models.BooleanField):
        return True
    if isinstance(field, models.IntegerField | models.FloatField):
        return at
    if field.name in ("cells", "repairs"):
        return {"a": ["integer", at]} if field.name == "cells" else {}
    if isinstance(field, models.JSONField):
        return {"a": at}
    if isinstance(field, models.CharField | models.TextField):
        return f"text {at}"
    return [0.5, float(at)]


def fill(model: type[models.Model], start: int, rows: int) -> None:
    """Rows with all columns filled, each with a parent of its own."""
    for at in range(start, start + rows):
        given: dict[str, Any] = {}
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey):
                parent = field.related_model
                if not parent._default_manager.filter(pk=at).exists():
                    fill(parent, at, 1)
                given[field.attname] = at
            else:
                given[field.name] = value(field, at)
        key = model._meta.pk
        assert key is not None
        given[key.name] = str(at) if isinstance(key, models.TextField) else at
        model._default_manager.create(**given)


def relate(model: type[models.Model], key: Any, start: int, rows: int) -> None:
    """Rows of the tables shown in line, that belong to one row."""
    for related in getattr(admin.site._registry[model], "related", ()):
        child = apps.get_model(related.model)
        taken = child._default_manager.count() + start + 10_000
        fill(child, taken, rows)
        child._default_manager.filter(pk__gte=taken).update(**{related.column: key})


@pytest.fixture
def people(client: Client) -> dict[str, User]:
    """A member of each group, who may look at the admin's own models as well."""
    Group.objects.all().delete()
    User.objects.all().delete()
    make_groups(apps, "default")
    found = {}
    for name in PEOPLE:
        found[name] = User.objects.create_user(name, is_staff=True)
        found[name].groups.add(Group.objects.get(name=name))
        own = Permission.objects.filter(content_type__app_label="auth")
        kind = "" if name == "administrator" else "view_"
        found[name].user_permissions.set(own.filter(codename__startswith=kind))
    return found


def asked(client: Client, address: str) -> int:
    """The queries of one page, which must be one."""
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
    assert answer.status_code == 200, address
    return len(queries)


def pages(client: Client, model: type[models.Model]) -> Iterator[tuple[str, str, int]]:
    """Each page that the admin offers of a model: name, address, the most queries it may ask."""
    place = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    address = reverse(f"{place}_changelist")
    yield "list", address, LIST
    cl = client.get(address).context["cl"]
    site = admin.site._registry[model]
    if site.search_fields:
        yield "search", f"{address}?q=text", FILTERED
        yield "search for a key", f"{address}?q=2", FILTERED
    for spec in cl.filter_specs:
        for choice in [c for c in spec.choices(cl) if not c["selected"]][:2]:
            yield f"filter {spec.title}", address + choice["query_string"], FILTERED
    if site.date_hierarchy:
        for part in ("year=2025", "year=2025&{0}__month=3", "year=2025&{0}__month=3&{0}__day=4"):
            asked_for = f"{site.date_hierarchy}__{part.format(site.date_hierarchy)}"
            yield part, f"{address}?{asked_for}", FILTERED
    yield "another order", f"{address}?o=2", FILTERED
    key = str(first_key(model))
    most = DJANGOS if model._meta.app_label == "auth" else DETAIL
    yield "detail", reverse(f"{place}_change", args=[quote(key)]), most


def first_key(model: type[models.Model]) -> Any:
    """The row whose page is asked."""
    return model._default_manager.order_by("pk").values_list("pk", flat=True).first()


def counts(client: Client, chosen: list[tuple[str, str, int]]) -> dict[str, int]:
    """Queries by page; none may ask more than its share."""
    found: dict[str, int] = {}
    for name, address, most in chosen:
        found[name] = max(found.get(name, 0), asked(client, address))
        assert found[name] <= most, f"{name}: {found[name]} queries"
    return found


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_no_page_asks_more_when_there_are_more_rows(
    client: Client, people: dict[str, User], model: type[models.Model]
) -> None:
    fill(model, 1000, FEW)
    relate(model, first_key(model), 0, FEW)
    client.force_login(people["viewer"])
    every = list(pages(client, model))
    # Lists are the same for both, but for the links.
    chosen = {
        "viewer": every,
        "administrator": [page for page in every if page[0] in ("list", "detail")],
    }
    few = {}
    for who, asked_for in chosen.items():
        client.force_login(people[who])
        # Django keeps content types in memory: what is asked once is asked here.
        client.get(every[-1][1])
        few[who] = counts(client, asked_for)
    fill(model, 2000, MANY - FEW)
    relate(model, first_key(model), 0, MANY - FEW)
    for who, asked_for in chosen.items():
        client.force_login(people[who])
        assert counts(client, asked_for) == few[who], who


def test_every_list_of_the_sidebar_is_covered() -> None:
    assert {"knowledge", "continuum", "rss", "accuracy", "vector", "transfer"} <= {
        model._meta.app_label for model in MODELS
    }
    assert len(MODELS) >= 16


def test_a_column_that_asks_for_each_row_is_found(
    client: Client, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bad twin: a list that shows a parent without having joined it."""
    model = apps.get_model("rss", "FetchItem")
    site = admin.site._registry[model]
    monkeypatch.setattr(site, "list_display", ["id", lambda row: row.cycle.status])
    client.force_login(people["viewer"])
    fill(model, 1000, FEW)
    address = reverse("admin:rss_fetchitem_changelist")
    client.get(address)
    few = asked(client, address)
    fill(model, 2000, FEW)
    assert asked(client, address) == few + FEW
