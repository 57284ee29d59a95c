"""The project on PostgreSQL, by Django's own backend: three lines more."""

import json
import os

from project.old import *  # noqa: F403
from project.old import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "stillme.transfer"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        **json.loads(os.environ.get("DATABASE", "{}")),
    }
}
TRANSFER = {
    "FILES": {"stall": {"path": os.environ["OLD_FILE"]}},
    **eval(os.environ.get("TRANSFER", "{}")),
}
