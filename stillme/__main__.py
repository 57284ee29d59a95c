"""The command `stillme`, which is `manage.py` wherever the package is installed."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
    try:
        from stillme.command_line import run
    except ImportError as error:
        sys.stderr.write(
            f"What this project needs is not installed here ({error}): run `.venv/bin/pip install "
            "-r requirements.txt` and use `.venv/bin/python manage.py`.\n"
        )
        sys.exit(2)
    except MemoryError:
        sys.stderr.write("There is no memory to start with: raise the limit (`ulimit -v`).\n")
        sys.exit(2)
    run(sys.argv)


if __name__ == "__main__":
    main()
