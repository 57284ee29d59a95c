"""The same on PostgreSQL, by the backend that the test names."""

import json
import os

from project.old import *  # noqa: F403
from project.old import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "stillme.transfer"]
DATABASES = {"default": json.loads(os.environ["DATABASE"])}
TRANSFER = {"FILES": {"board": {"path": os.environ["OLD_FILE"]}}}
