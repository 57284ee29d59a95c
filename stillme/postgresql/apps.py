"""Django's entry for the backend's management commands and what it does at forks."""

import sys

from django.apps import AppConfig

# Digits before the point of PostgreSQL's numeric, which is what jsonb keeps numbers in.
MOST_DIGITS = 131_072


def read_long_numbers() -> None:
    """Raise Python's limit of 4,300 digits for reading and printing an integer.

    ``1e5000`` is a lawful number in a document. Printed by jsonb it has 5,001 digits, and json
    raised ValueError for the whole document: models, services and the console could not read the
    row. One of 131,072 digits is read in 0.09 s and printed in 0.26 s (Python 3.11).
    """
    if 0 < sys.get_int_max_str_digits() < MOST_DIGITS:
        sys.set_int_max_str_digits(MOST_DIGITS)


class PostgresqlConfig(AppConfig):
    """App `postgresql`: no models, only commands."""

    name = "stillme.postgresql"
    label = "postgresql"
    verbose_name = "PostgreSQL"

    def ready(self) -> None:
        """Make forks safe for pools and sessions, and read every number that PostgreSQL holds."""
        from stillme.postgresql import forks

        forks.install()
        read_long_numbers()
