"""The same on PostgreSQL."""

import json
import os

from project.old import *  # noqa: F403
from project.old import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "stillme.transfer"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        **json.loads(os.environ["DATABASE"]),
    }
}
TRANSFER = {"FILES": {"stock": {"path": os.environ["OLD_FILE"]}}}
