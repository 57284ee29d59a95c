"""Django's command line, as `startproject` makes it."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.old")
execute_from_command_line(sys.argv)
