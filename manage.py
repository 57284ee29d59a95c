#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    """Run the command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
    try:
        from stillme.command_line import run
    except ImportError:
        sys.exit(
            "Django is not installed here: run `.venv/bin/pip install -r requirements.txt` "
            "and use `.venv/bin/python manage.py`."
        )
    run(sys.argv)


if __name__ == "__main__":
    main()
