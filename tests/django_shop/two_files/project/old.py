"""Two SQLite files: the app `stats` has one of its own, whose times are of another zone."""

import os
from pathlib import Path

OLD_FILE = Path(os.environ["OLD_FILE"])
STATS_FILE = OLD_FILE.with_name("stats.sqlite3")
SECRET_KEY = "only-for-tests"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "shop",
    "stats",
]
SQLITE = "django.db.backends.sqlite3"
STATS = {"ENGINE": SQLITE, "NAME": STATS_FILE, "TIME_ZONE": "America/New_York"}
DATABASES = {"default": {"ENGINE": SQLITE, "NAME": OLD_FILE}, "stats": STATS}
DATABASE_ROUTERS = ["project.routers.StatsRouter"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
