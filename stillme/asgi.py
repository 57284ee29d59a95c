"""The ASGI application, for uvicorn and its like."""

import os
from importlib import import_module

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

application = get_asgi_application()
# The pages now, not with the first request: a mistake in one of them ends the start.
import_module("stillme.urls")
