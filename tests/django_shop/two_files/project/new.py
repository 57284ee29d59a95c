"""Both files into one database; a test says what differs."""

import json
import os

from project.old import *  # noqa: F403
from project.old import INSTALLED_APPS, OLD_FILE, STATS_FILE

INSTALLED_APPS = [*INSTALLED_APPS, "stillme.transfer"]
SERVER = {"ENGINE": "django.db.backends.postgresql", **json.loads(os.environ["DATABASE"])}
DATABASES = {"default": SERVER}
DATABASE_ROUTERS = []
TRANSFER = {
    "FILES": {
        "shop": {"path": OLD_FILE},
        "stats": {"path": STATS_FILE, "models": ["stats"], "time_zone": "America/New_York"},
    },
}
exec(os.environ["TRANSFER"])
