"""The settings under which `django_suite.py` runs Django's tests: those of its `test_sqlite.py`."""

import json
import os

DATABASES = json.loads(os.environ["SUITE_DATABASES"])
SECRET_KEY = "only-for-tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
