"""No address of the admin ends in a fault, whatever key or parameter it has.

One model of each sort is asked in the default run, every model with `-m slow`.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models, transaction
from django.test import Client

from continuum.models import TierMetric
from stillme.transfer.models import Proof, Run
from tests.console.support import quarantined_row
from tests.domains.test_admin import fill
from tests.sorts import one_of_each
from vector import services

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:.*naive datetime")]

Page = tuple[type[models.Model], Any]


def sort(page: Page) -> tuple[object, ...]:
    """What an address of a page goes through: the kind of the key, and the classes of the page."""
    key = page[0]._meta.pk
    return type(key), type(page[1]).__bases__, bool(page[1].date_hierarchy)


MODELS = list(admin.site._registry)
PAGES = one_of_each(admin.site._registry.items(), sort, name=lambda page: page[0].__name__)
# The first page of each sort is asked everything, each other one a third, not all the same.
WHOLE = [case.values[0] for case in PAGES if not case.marks]
KEYS = ["\n", "a\0b", "_00", "9" * 5000, "٣", "--5", "a/b"]
VALUES = ["", "\0", "--5", "9" * 30, "9" * 5000, "[", "99999999"]
PARAMETERS = ["q", "p", "o", "before", "_to_field", "_changelist_filters", "pk__in", "pk__nope"]
FILTERS = {
    "": ["\0", "9" * 30],
    "__gte": ["9999-12-31T23:59:59"],
    "__year": ["99999999", "9" * 30],
    "__range": ["", "12"],
    "__regex": ["["],
}


class Asker:
    """Asks as a superuser; each answer's changes, and a broken transaction, are undone."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __call__(self, path: str, **parameters: str) -> Any:
        asked = f"{path}?{urlencode(parameters)}" if parameters else path
        with transaction.atomic():
            answer = self.client.get(asked)
            if hasattr(answer, "streaming_content"):
                list(answer.streaming_content)
            transaction.set_rollback(True)
        assert answer.status_code < 500, asked[:200]
        return answer


@pytest.fixture
def ask(client: Client) -> Asker:
    user = User.objects.create_superuser("root", "r@example.org", "x")
    client.force_login(user)
    run = Run.objects.create(command="verify_migration")
    Proof.objects.create(run=run, level="full", exit_status=0, findings=0, report={})
    quarantined_row()
    made = services.create_collection("c")
    services.add(made, ["a"], [[1.0]], ["d"], [{"x": 1}])
    return Asker(client)


def base(model: type[models.Model]) -> str:
    if not model.objects.exists() and model.__module__.split(".")[0] != "django":
        fill(model, 2)
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("page", PAGES)
def test_odd_keys(ask: Asker, page: Page) -> None:
    model, _ = page
    place = base(model)
    for key in KEYS:
        for tail in ("change/", "history/", "cell/metadata/"):
            ask(f"{place}{quote(key, safe='')}/{tail}")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("page", PAGES)
def test_odd_parameters(ask: Asker, page: Page) -> None:
    model, site = page
    place = base(model)
    first = model.objects.order_by("pk").first()
    key = quote(str(first.pk)) if first else "1"
    dates = site.date_hierarchy
    asked: list[tuple[str, dict[str, str]]] = []
    for value in VALUES:
        asked += [(place, {name: value}) for name in PARAMETERS]
        asked += [(f"{place}export/csv/", {name: value}) for name in ("q", "before")]
        asked.append((f"{place}{key}/change/", {"_changelist_filters": value, "_to_field": value}))
        asked.append((f"{place}{key}/history/", {"p": value}))
        if dates:
            asked.append((place, {f"{dates}__year": value, f"{dates}__month": "11"}))
            asked.append((place, {f"{dates}__year": "2025", f"{dates}__month": value}))
    for address, parameters in asked if page in WHOLE else asked[MODELS.index(model) % 3 :: 3]:
        ask(address, **parameters)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("page", PAGES)
def test_odd_filters(ask: Asker, page: Page) -> None:
    model, _ = page
    place = base(model)
    for field in {type(field): field for field in model._meta.concrete_fields}.values():
        for lookup, values in FILTERS.items():
            for value in values:
                ask(place, **{field.name + lookup: value})
        if field.is_relation:
            names = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
            for value in VALUES:
                ask("/admin/autocomplete/", **names, field_name=field.name, term=value)


def test_other_pages(ask: Asker) -> None:
    for path in ("", "login/", "jsi18n/", "search/", "transfer/dashboard.json", "password_change/"):
        for name in ("next", "s", "page"):
            for value in VALUES:
                ask(f"/admin/{path}", **{name: value})


def test_rows_whose_keys_are_odd_have_pages(ask: Asker) -> None:
    keys = ["\n", "a\nb", "\r", " ", "/", "_0A", "%", "..", "?", "\x7f", "\u2028", "é", "x" * 2000]
    TierMetric.objects.bulk_create(TierMetric(item_id=key, tier="L0") for key in keys)
    page = ask("/admin/continuum/tiermetric/").content.decode()
    links = {
        unescape(a) for a in re.findall(r'href="(/admin/continuum/tiermetric/[^"]+change/)', page)
    }
    assert len(links) == len(keys)
    for link in links:
        assert ask(link).status_code == 200
    TierMetric.objects.create(item_id="", tier="L0")
    ask("/admin/continuum/tiermetric/")
