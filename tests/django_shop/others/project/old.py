"""On SQLite: a user model of its own, and three apps that nobody here wrote."""

import os

SECRET_KEY = "only-for-tests"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "taggit",
    "guardian",
    "simple_history",
    "board",
]
AUTH_USER_MODEL = "board.Member"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
SILENCED_SYSTEM_CHECKS = ["guardian.W001"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["OLD_FILE"]}}
USE_TZ = True
TIME_ZONE = "Asia/Ho_Chi_Minh"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
