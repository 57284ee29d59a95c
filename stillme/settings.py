"""Settings of the project; everything that differs between places comes from the environment.

The block `env` names every variable once; `.env.example` documents the same list, and a test
holds the two together. Nothing here connects to a database or starts a server.
"""

from __future__ import annotations

import os
from collections import ChainMap
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.utils.functional import SimpleLazyObject

import stillme
from stillme.environment import Environment
from stillme.home import home
from stillme.ops.logs import logging_settings
from stillme.postgresql.connecting.configuration import default_cluster_directory, target_database
from stillme.secret import local_secret_key
from stillme.services.zones import AUTO, known_zone

# --- the environment -----------------------------------------------------------------------------

env = Environment(
    DEBUG=(bool, False),
    SECRET_KEY=(str, ""),
    ALLOWED_HOSTS=(list, ["localhost", "127.0.0.1", "[::1]"]),
    CSRF_TRUSTED_ORIGINS=(list, []),
    SECURE_SSL=(bool, False),
    SECURE_HSTS_SECONDS=(int, 31_536_000),
    BEHIND_PROXY=(bool, False),
    LOG_LEVEL=(str, "WARNING"),
    LOG_FORMAT=(str, "plain"),
    METRICS_TOKEN=(str, ""),
    FOLLOWER_MAX_LAG=(float, 60.0),
    DATABASE_URL=(str, ""),
    DATABASE_REPLICA_URLS=(list, []),
    REPLICA_MAX_LAG=(float, 5.0),
    EMBEDDED_POSTGRES_DIR=(str, ""),
    DB_POOL_MIN_SIZE=(int, 1),
    DB_POOL_MAX_SIZE=(int, 0),
    DB_POOL_TIMEOUT=(float, 10.0),
    DB_PREPARED_STATEMENTS=(bool, True),
    STATEMENT_TIMEOUT=(int, 0),
    LOCK_TIMEOUT=(int, 0),
    LEGACY_DATA_DIR=(str, "data"),
    LEGACY_KNOWLEDGE_PATH=(str, ""),
    LEGACY_CONTINUUM_PATH=(str, ""),
    LEGACY_RSS_PATH=(str, ""),
    RSS_FETCH_HISTORY_DB_PATH=(str, ""),
    LEGACY_ACCURACY_PATH=(str, ""),
    LEGACY_VECTOR_DIR=(str, ""),
    CHROMA_DB_PATH=(str, ""),
    LEGACY_TIME_ZONE=(str, "auto"),
    STILLME_MIGRATION=(bool, True),
)
BASE_DIR = home()
if stillme.is_guest:
    # What `.env` says is for this project, not for the application whose process this is.
    Environment.ENVIRON = ChainMap({}, os.environ)
Environment.read_env(BASE_DIR / ".env")

# --- safety --------------------------------------------------------------------------------------

DEBUG = env("DEBUG")
SECRET_KEY: Any = env("SECRET_KEY") or SimpleLazyObject(local_secret_key)
ALLOWED_HOSTS = env("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env("CSRF_TRUSTED_ORIGINS")

# Plain http on this machine must be able to log in, so https is asked for, not assumed.
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env("SECURE_SSL")
SECURE_HSTS_SECONDS = env("SECURE_HSTS_SECONDS") if env("SECURE_SSL") else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = env("SECURE_SSL")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env("BEHIND_PROXY") else None
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- the apps ------------------------------------------------------------------------------------

# Each has a schema of its name. Staff groups, replicas and Citus take them from here.
DOMAINS = ("knowledge", "continuum", "rss", "accuracy", "vector")
# Off once the move is over: then nothing of the engine is imported, and no legacy file is named.
MIGRATION = env("STILLME_MIGRATION")


def _if_installed(*names: str) -> list[str]:
    """Return those of the extra `console` that are installed.

    Without unfold the pages look like Django's own. Without whitenoise the web server in front has
    to serve STATIC_ROOT.
    """
    return [name for name in names if find_spec(name.partition(".")[0])]


INSTALLED_APPS = [
    *_if_installed("unfold.apps.BasicAppConfig"),
    "stillme.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    *_if_installed("whitenoise.runserver_nostatic"),
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    *_if_installed("django_extensions"),
    "stillme.postgresql",
    "stillme.pages",
    *(["stillme.transfer", "stillme.demo"] if MIGRATION else []),
    "stillme.ops",
    *DOMAINS,
]

MIDDLEWARE = [
    "stillme.ops.middleware.OperationsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    *_if_installed("whitenoise.middleware.WhiteNoiseMiddleware"),
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Pages of errors, and those of unfold's that are worded otherwise here.
        "DIRS": [Path(__file__).with_name("templates")],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "stillme.urls"
WSGI_APPLICATION = "stillme.wsgi.application"
ASGI_APPLICATION = "stillme.asgi.application"
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True
UNFOLD = {
    "SITE_TITLE": "StillMe",
    "SITE_HEADER": "StillMe",
    "SITE_SYMBOL": "database",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("console/icon.svg"),
        }
    ],
    "STYLES": [lambda request: static("console/everywhere.css")],
    "SCRIPTS": [lambda request: static("console/keyboard.js")],
    "SIDEBAR": {
        "navigation": "stillme.transfer.console.sidebar.navigation"
        if MIGRATION
        else "stillme.pages.sidebar.navigation"
    },
}

# --- the legacy side -----------------------------------------------------------------------------

LEGACY_DATA_DIR = env.place("LEGACY_DATA_DIR", BASE_DIR)
try:
    LEGACY_TIME_ZONE = known_zone(env("LEGACY_TIME_ZONE")) or AUTO
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from error
# Django is about to set TZ to TIME_ZONE; local times are shown in the zone it had before.
PROCESS_TZ = os.environ.get("TZ", "")


def _legacy_path(name: str, *overrides: str) -> Path:
    given = next((variable for variable in overrides if env(variable)), None)
    return env.place(given, BASE_DIR) if given else LEGACY_DATA_DIR / name


_LEGACY_FILES: dict[str, dict[str, Any]] = {
    name: {
        "alias": f"legacy_{name}",
        "path": _legacy_path(file, *variables),
        # StillMe makes a file with the first use of a feature; a place of its own says it is there.
        "optional": _legacy_path(file, *variables) == LEGACY_DATA_DIR / file,
    }
    for name, file, *variables in (
        ("knowledge", "knowledge_retention.db", "LEGACY_KNOWLEDGE_PATH"),
        ("continuum", "continuum_memory.db", "LEGACY_CONTINUUM_PATH"),
        ("rss", "rss_fetch_history.db", "LEGACY_RSS_PATH", "RSS_FETCH_HISTORY_DB_PATH"),
        ("accuracy", "accuracy_scores.db", "LEGACY_ACCURACY_PATH"),
    )
}
LEGACY_VECTOR_DIR = _legacy_path("vector_db", "LEGACY_VECTOR_DIR", "CHROMA_DB_PATH")

# What the migration engine is told of this project (docs/reference/settings.md). The prefix never
# changes: by it the engine knows the triggers that it left in files and databases.
TRANSFER: dict[str, Any] = {
    "FILES": _LEGACY_FILES,
    "APPS": DOMAINS,
    "APPLICATION": "StillMe",
    "PREFIX": "stillme",
    "PATHS": "LEGACY_DATA_DIR, LEGACY_<NAME>_PATH",
    "DATA_DIR": LEGACY_DATA_DIR,
    # Other SQLite files of the old application: inspect_sqlite names them, nothing imports them.
    "OTHER_FILES": {
        "chat_history.db": "chat history",
        "community_proposals.db": "community proposals and votes",
        "learning_proposals.db": "learning proposals and feedback on them",
        "style_preferences.db": "style preferences per user",
        "feedback.db": "ratings of answers",
    },
}


def legacy_database(path: Path) -> dict[str, Any]:
    """A read-only connection to a legacy file.

    `detect_types` is 0 because Django's converters would change what is stored.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"file:{quote(bytes(path))}?mode=ro",
        "OPTIONS": {"detect_types": 0},
    }


# --- the databases -------------------------------------------------------------------------------

EMBEDDED_POSTGRES_DIR = env.place(
    "EMBEDDED_POSTGRES_DIR", BASE_DIR, default_cluster_directory(BASE_DIR)
)

DATABASES: dict[str, dict[str, Any]] = {
    "default": target_database(
        env("DATABASE_URL"),
        embedded_directory=EMBEDDED_POSTGRES_DIR,
        pool_sizes=(env("DB_POOL_MIN_SIZE"), env("DB_POOL_MAX_SIZE"), env("DB_POOL_TIMEOUT")),
        timeouts={
            "statement_timeout": env("STATEMENT_TIMEOUT"),
            "lock_timeout": env("LOCK_TIMEOUT"),
        },
        prepared=env("DB_PREPARED_STATEMENTS"),
    ),
    **{
        file["alias"]: legacy_database(file["path"]) for file in _LEGACY_FILES.values() if MIGRATION
    },
}
for _number, _url in enumerate(env("DATABASE_REPLICA_URLS"), start=1):
    DATABASES[f"replica_{_number}"] = {
        **target_database(
            _url,
            embedded_directory=EMBEDDED_POSTGRES_DIR,
            pool_sizes=(env("DB_POOL_MIN_SIZE"), env("DB_POOL_MAX_SIZE"), env("DB_POOL_TIMEOUT")),
            timeouts={"statement_timeout": env("STATEMENT_TIMEOUT")},
        ),
        "TEST": {"MIRROR": "default"},
    }
REPLICA_MAX_LAG = env("REPLICA_MAX_LAG")
FOLLOWER_MAX_LAG = env("FOLLOWER_MAX_LAG")
METRICS_TOKEN = env("METRICS_TOKEN")
DATABASE_ROUTERS = [
    *(["stillme.transfer.routers.LegacyRouter"] if MIGRATION else []),
    "stillme.ops.replicas.ReplicaRouter",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- the rest ------------------------------------------------------------------------------------

USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "stillme.formats"
LOGIN_REDIRECT_URL = "admin:index"

# A guest's logging is the application's own, and so is what LOG_LEVEL means to it.
if not stillme.is_guest:
    LOGGING = logging_settings(
        env.choice("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
        env.choice("LOG_FORMAT", ("plain", "json")),
    )
