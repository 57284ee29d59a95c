"""The ASGI application, for uvicorn and its like."""

import os
import warnings
from importlib import import_module

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")

with warnings.catch_warnings():
    # `collectstatic` is optional here, and its directory may not be there.
    warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)
    application = get_asgi_application()
# The pages now, not with the first request: a mistake in one of them ends the start.
import_module("stillme.urls")
