"""The project: composition only; the one place that knows every app."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection
from importlib import import_module
from typing import Any

SETTINGS = "stillme.settings"
_one_at_a_time = threading.RLock()
# True in a process that belongs to somebody else, who called `setup()`.
is_guest = False


def setup() -> None:
    """Make models and services usable in a plain process (FastAPI, a script, a notebook).

    Call it once, at start, before you import anything of `knowledge`, `continuum`, `rss`,
    `accuracy` or `vector`. More calls, from any thread, do nothing. The process stays its owner's:
    logging, `TZ`, warnings, signal handlers and environment variables are left as they are.

    Raises ImproperlyConfigured, one sentence, if a setting cannot be read, or if the process
    already has Django settings of another project.
    """
    import django
    from django.apps import apps
    from django.conf import settings

    with _one_at_a_time:
        if not settings.configured:
            # Django would set TZ and logging by itself if it read a settings module.
            settings.configure(**_settings_for_a_guest())
        _check_apps(settings.INSTALLED_APPS)
        if not apps.ready:
            django.setup()


def _settings_for_a_guest() -> dict[str, Any]:
    """Return the settings of DJANGO_SETTINGS_MODULE, else StillMe's, without logging."""
    global is_guest
    is_guest = True
    module = import_module(os.environ.get("DJANGO_SETTINGS_MODULE") or SETTINGS)
    found = {name: value for name, value in vars(module).items() if name.isupper()}
    _check_apps(found.get("INSTALLED_APPS", ()))
    return {**found, "LOGGING_CONFIG": None}


def _check_apps(installed: Collection[str]) -> None:
    """Refuse settings that do not have StillMe's database backend among their apps."""
    from django.core.exceptions import ImproperlyConfigured

    if "stillme.postgresql" not in installed:
        raise ImproperlyConfigured(
            "stillme.setup() found the Django settings of another project: add StillMe's apps to "
            "its INSTALLED_APPS and call django.setup(), or call stillme.setup() in a process "
            "without DJANGO_SETTINGS_MODULE, before anything configures Django."
        )
