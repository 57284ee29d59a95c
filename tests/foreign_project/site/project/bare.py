"""The project without accounts, admin and pages: the engine and the app that it moves."""

from project.settings import *  # noqa: F403

INSTALLED_APPS = ["stillme.transfer", "shop"]
MIDDLEWARE = []
TEMPLATES = []
ROOT_URLCONF = None
