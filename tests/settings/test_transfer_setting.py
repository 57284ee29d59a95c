"""The setting TRANSFER: what is wrong is said, what is not said has a default, docs list it all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from stillme.transfer.conf import conf, time_zone

SHOP = {"FILES": {"shop": {"path": "/srv/shop.db"}}}


def test_one_file_is_enough(settings: Any) -> None:
    settings.TRANSFER = SHOP
    settings.LEGACY_TIME_ZONE = "Asia/Ho_Chi_Minh"
    found = conf()
    assert found.files["shop"].path == Path("/srv/shop.db")
    assert found.files["shop"].alias == "legacy_shop"
    assert (found.prefix, found.subject) == ("transfer", "The application")
    assert time_zone("shop") == "Asia/Ho_Chi_Minh"


def test_a_file_may_have_a_time_zone_of_its_own(settings: Any) -> None:
    files = {"a": {"path": "a.db", "time_zone": "Europe/Berlin"}, "b": {"path": "b.db"}}
    settings.TRANSFER = {"FILES": files}
    settings.LEGACY_TIME_ZONE = "auto"
    assert [time_zone(name) for name in files] == ["Europe/Berlin", "auto"]


def test_one_name_may_go_without_its_list_and_a_path_without_its_entry(settings: Any) -> None:
    files = {"shop": Path("/srv/shop.db"), "b": {"path": "b.db", "models": "Stats"}}
    settings.TRANSFER = {"FILES": files, "LEAVE_OUT": "sessions"}
    assert conf().leave_out == ("sessions",)
    assert conf().files["b"].models == ("stats",)
    assert conf().files["shop"].path == Path("/srv/shop.db")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"FILE": {}}, "TRANSFER has no entry FILE"),
        ({"FILES": {"shop": {}}}, r"\['shop'\] has no \"path\""),
        ({"FILES": {"shop": {"path": None}}}, r"\['shop'\] has no \"path\""),
        ({"FILES": ["shop.db"]}, r'"FILES"\] is no dictionary: give each file a short name'),
        ({"FILES": {"shop": {"path": "a.db", "model": ["a"]}}}, r"\['shop'\] has no entry model:"),
        ({**SHOP, "PREFIX": "drop table;"}, "is 'drop table;'"),
        ({**SHOP, "PREFIX": ""}, "is ''"),
        ({**SHOP, "GROUPS": {"boss": ("fire",)}}, "boss: fire"),
    ],
)
def test_what_is_wrong_is_said(settings: Any, given: dict[str, Any], said: str) -> None:
    settings.TRANSFER = given
    with pytest.raises(ImproperlyConfigured, match=said):
        conf()
