"""The WSGI application, for gunicorn and its like."""

import os
from importlib import import_module

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

application = get_wsgi_application()
# The pages now, not with the first request: a mistake in one of them ends the start.
import_module("stillme.urls")
