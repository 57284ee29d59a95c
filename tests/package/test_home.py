"""Which folder an installation calls its own, and what it is without the optional packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from stillme import home as module
from stillme.home import home
from tests.conftest import ROOT

# STILLME_HOME, XDG_DATA_HOME -> the folder of a package that was installed below /lib, for the user
# whose home is /home/me, in the working directory.
INSTALLED = [
    ("", "", "/home/me/.local/share/stillme"),
    ("", "/data", "/data/stillme"),
    ("/srv/app", "/data", "/srv/app"),
    ("~/app", "", "/home/me/app"),
    ("app", "", "{working directory}/app"),
]


@pytest.mark.parametrize(("given", "data", "expected"), INSTALLED)
def test_an_installed_package_has_a_folder_of_the_user(
    given: str, data: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "__file__", "/lib/site-packages/stillme/home.py")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("STILLME_HOME", given)
    monkeypatch.setenv("XDG_DATA_HOME", data)
    assert str(home()) == expected.format(**{"working directory": Path.cwd()})


def test_a_checkout_is_its_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STILLME_HOME", raising=False)
    assert home() == ROOT


def test_a_folder_that_is_not_known_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ("$NOWHERE/app", "~nobody-of-this-name/app"):
        monkeypatch.setenv("STILLME_HOME", given)
        with pytest.raises(ImproperlyConfigured, match=r"STILLME_HOME.*write the path out"):
            home()


EXTRAS = ("unfold", "whitenoise", "django_extensions", "gunicorn", "pgvector")
PLAIN = f"""
import sys
sys.modules.update(dict.fromkeys({EXTRAS!r}))  # as if they were not installed
import stillme
stillme.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from vector import services
call_command("check", fail_level="WARNING")
collection = services.create_collection("new")
services.add(collection, ["a"], [[1.0, 0.0]], ["one"])
print([record.id for record in services.query(collection, [1.0, 0.1], 1)])
browser = Client(SERVER_NAME="localhost")
browser.force_login(User.objects.create_superuser("plain", "p@example.org", "x"))
for page in ("healthz", "metrics", "admin/", "admin/auth/user/add/", "admin/rss/fetchcycle/"):
    print(page, browser.get("/" + page, follow=True).status_code)
"""


@pytest.mark.django_db(transaction=True)
def test_without_the_extras_services_and_pages_work(target_environment: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PLAIN],
        env={**target_environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout.splitlines()
    assert said[-6] == "['a']"
    assert all(line.endswith(" 200") for line in said[-5:]), said
