"""The project in `site/` on its old SQLite file and on a PostgreSQL database of its own.

Each command is a process, as an operator runs it.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.db import connections

from stillme.postgresql.names import quote
from tests.conftest import ROOT
from tests.fork_server import run_prepared
from tests.template_database import copy_database, maintenance

SITE = Path(__file__).with_name("site")
CENTS = (
    '{"stall.fields.CentsField": __import__("stillme.transfer.kinds", fromlist=["kinds"])'
    ".Integer(-(2**63), 2**63 - 1)}"
)


class Project:
    """`old` is Django on SQLite, `new` Django on PostgreSQL with the engine."""

    def __init__(
        self, file: Path, database: dict[str, Any], site: Path = SITE, modules: str = "project."
    ) -> None:
        self.file, self.database, self.site, self.modules = file, database, site, modules
        self.transfer = f'{{"FIELDS": {CENTS}}}'

    def old(self, *command: str, status: int = 0) -> str:
        """What a command of the project on SQLite printed."""
        return self._run("old", command, status)

    def new(self, *command: str, status: int = 0) -> str:
        """What a command of the project on PostgreSQL printed."""
        return self._run("new", command, status)

    def shell(self, side: str, code: str) -> str:
        """What Python code printed that the project's shell ran."""
        return self._run(side, ("shell", "-v0", "-c", code), 0)

    def objects(self, side: str) -> list[str]:
        """Every object that Django reads, one a line."""
        return self.shell(side, "from show import show; show()").splitlines()

    def legacy(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement on the old file, which may break its checks."""
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            return connection.execute(sql, parameters).fetchall()

    def target(self, sql: str) -> list[list[Any]]:
        """The rows of a query, as JSON values, by the project's own connection."""
        code = (
            "import json; from django.db import connection; cursor = connection.cursor(); "
            f"cursor.execute({sql!r}); print(json.dumps(cursor.fetchall(), default=str))"
        )
        found: list[list[Any]] = json.loads(self.shell("new", code))
        return found

    def execute(self, sql: str) -> None:
        """Run a statement in the target, by the project's own connection."""
        code = f"from django.db import connection; connection.cursor().execute({sql!r})"
        self.shell("new", code)

    def _run(self, side: str, command: tuple[str, ...], status: int) -> str:
        ended = run_prepared(
            ["manage.py", *command],
            self.site,
            {
                **os.environ,
                "DJANGO_SETTINGS_MODULE": f"{self.modules}{side}",
                "PYTHONPATH": str(ROOT),
                "DATABASE": json.dumps(self.database),
                "OLD_FILE": str(self.file),
                "TRANSFER": self.transfer,
            },
        )
        said = ended.stdout + ended.stderr
        assert ended.returncode == status, f"{command} ended {ended.returncode}: {said}"
        assert "Traceback" not in said
        return said


@contextmanager
def database_of_its_own(template: str = "template1") -> Iterator[dict[str, Any]]:
    """A database on the test server, as settings name it: empty, or a copy of another one."""
    server = connections["default"]
    name = f"project_{secrets.token_hex(4)}"
    given = ("HOST", "PORT", "USER", "PASSWORD")
    known = {key: str(server.settings_dict[key] or "") for key in given}
    with maintenance(server) as alone:
        copy_database(alone, name, template)
    try:
        yield {**known, "NAME": name}
    finally:
        with server.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {quote(name)} WITH (FORCE)")


@contextmanager
def on_both_sides(folder: Path, site: str) -> Iterator[Project]:
    """A project whose apps have no migrations: its tables on both sides, its rows in the file."""
    with database_of_its_own() as database:
        project = Project(folder / "db.sqlite3", database, SITE.with_name(site))
        project.old("migrate", "-v0", "--run-syncdb")
        project.shell("old", "from fill import fill; fill()")
        project.new("migrate", "-v0", "--run-syncdb")
        yield project
