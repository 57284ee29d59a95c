"""The wheel in an environment that holds nothing else: `installed.py CHECKOUT`, run by .ci/run.

It needs the extra `embedded`, and a working directory outside of the checkout.
"""

# ruff: noqa: E402 - what an application does, in its order
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import stillme

CHECKOUT = Path(sys.argv[1]).resolve()
PLACE = Path(stillme.__file__).resolve().parent.parent
EXTRAS = ("unfold", "whitenoise", "gunicorn", "django_extensions", "pgvector", "pytest")


stillme.setup()

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from continuum.services import ContinuumMemory
from knowledge.services import KnowledgeRetention
from vector import services as vectors


def files(root: Path) -> set[str]:
    """Every file of the packages, compiled ones left out."""
    return {
        str(path.relative_to(root))
        for package in ("stillme", *settings.DOMAINS)
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


assert not PLACE.is_relative_to(CHECKOUT), f"{PLACE} is not the wheel"
assert files(PLACE) == files(CHECKOUT), files(PLACE) ^ files(CHECKOUT)
assert not [name for name in EXTRAS if find_spec(name)], "the environment is not empty"
assert not Path(settings.BASE_DIR).is_relative_to(PLACE), settings.BASE_DIR
call_command("migrate", verbosity=0)
retention = KnowledgeRetention()
key = retention.add_knowledge("content", "source")
assert retention.update_retention_score(key, 0.95)
assert [item["content"] for item in retention.get_retained_knowledge()] == ["content"]
assert isinstance(ContinuumMemory().get_tier_stats(), dict)
collection = vectors.create_collection("new")
vectors.add(collection, ["a"], [[1.0, 0.0]], ["one"])
assert [record.id for record in vectors.query(collection, [1.0, 0.1], 1)] == ["a"]

# Without unfold the pages are Django's own.
browser = Client(SERVER_NAME="localhost")
browser.force_login(User.objects.create_superuser("root", "r@example.org", "x"))
for page in (
    *("healthz", "readyz", "metrics", "admin/", "admin/transfer/dashboard/", "admin/auth/user/"),
    *("admin/auth/user/add/", "admin/auth/user/1/change/", "admin/knowledge/knowledgeitem/"),
    *(f"admin/knowledge/knowledgeitem/{key}/change/", "admin/transfer/quarantinedrow/"),
):
    assert browser.get(f"/{page}", follow=True).status_code == 200, page

program = Path(sys.executable).with_name("stillme")
subprocess.run([program, "check"], check=True)
print("The wheel works.")
