"""The project: composition only; the one place that knows every app."""

from __future__ import annotations

import os
import time


def setup() -> None:
    """Make models and services usable in a plain process (FastAPI, a script, a notebook).

    One call, at start, before anything of `knowledge`, `continuum`, `rss`, `accuracy` or `vector`
    is imported; again is harmless. Django would set the process's time zone to its own: the zone
    the process had is put back, so that `datetime.now()` of the application stays local.
    """
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
    zone = os.environ.get("TZ")
    django.setup()
    if zone is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = zone
    if hasattr(time, "tzset"):
        time.tzset()
