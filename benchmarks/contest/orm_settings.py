"""The project's settings, and the legacy file as a plain Django database under the alias `plain`.

The model names its table "knowledge"."knowledge_items"; a file that is attached as `knowledge` has
a table of that name, so that Django's own dumpdata reads it through the model.
"""

from __future__ import annotations

import os

from stillme.settings import *  # noqa: F403
from stillme.settings import DATABASES as PROJECT_DATABASES

DATABASES = {
    "default": PROJECT_DATABASES["default"],
    "plain": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "OPTIONS": {"init_command": f"ATTACH DATABASE '{os.environ['CONTEST_FILE']}' AS knowledge"},
    },
}
DATABASE_ROUTERS: list[str] = []
