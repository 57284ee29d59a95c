"""The project on its old file, and with a DATABASE in the environment on PostgreSQL.

Then the file is the alias `old` besides, for who compares both sides by the ORM.
"""

import json
import os

SECRET_KEY = "only-for-benchmarks"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "benchmarks.shop",
]
OLD = {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SHOP_FILE"]}
DATABASES = {"default": OLD}
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if "DATABASE" in os.environ:
    INSTALLED_APPS += ["stillme.transfer"]
    target = {"ENGINE": "django.db.backends.postgresql", **json.loads(os.environ["DATABASE"])}
    DATABASES = {"default": target, "old": OLD}
    TRANSFER = {"FILES": {"shop": {"path": os.environ["SHOP_FILE"]}}}
