"""The settings as the environment makes them, read in a process of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stillme.settings import env
from tests.conftest import ROOT
from tests.fork_server import run_python

SHOW = """
import json
from django.conf import settings as s
print(json.dumps({
    "default": {k: v for k, v in s.DATABASES["default"].items()},
    "legacy": {name: str(file["path"]) for name, file in s.TRANSFER["FILES"].items()},
    "rss": s.DATABASES["legacy_rss"], "vector": str(s.LEGACY_VECTOR_DIR), "debug": s.DEBUG,
}, default=str))
"""


def process(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python with nothing in the environment but these variables."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    given = {**keep, "DJANGO_SETTINGS_MODULE": "stillme.settings", **variables}
    return run_python(command, ROOT, given)


def settings_with(**variables: str) -> Any:
    answer = process("-c", SHOW, **variables)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_the_example_names_every_variable() -> None:
    written = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(written) == sorted(env.scheme)


def test_the_example_gives_the_defaults(tmp_path: Path) -> None:
    example = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text().splitlines()
        if re.match(r"[A-Z_]+=", line)
    )
    assert settings_with(**example) == settings_with()


def test_safe_by_default() -> None:
    assert settings_with()["debug"] is False
    assert settings_with(DEBUG="true")["debug"] is True


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_database_url(scheme: str) -> None:
    found = settings_with(DATABASE_URL=f"{scheme}://me:p%40ss@db.example:5433/x?sslmode=require")
    default = found["default"]
    assert (default["ENGINE"], default["NAME"]) == ("stillme.postgresql", "x")
    assert (default["USER"], default["PASSWORD"]) == ("me", "p@ss")
    assert (default["HOST"], str(default["PORT"])) == ("db.example", "5433")
    assert default["OPTIONS"]["sslmode"] == "require"
    assert "pool" not in default["OPTIONS"]
    assert "EMBEDDED" not in default


def test_the_folder_of_a_socket_in_the_place_of_the_host() -> None:
    """As libpq takes it."""
    found = settings_with(DATABASE_URL="postgresql://me@%2Fvar%2FRun%2fpg:5433/x")["default"]
    assert (found["HOST"], str(found["PORT"]), found["NAME"]) == ("/var/Run/pg", "5433", "x")


def test_without_a_url_the_server_is_the_embedded_one() -> None:
    default = settings_with(EMBEDDED_POSTGRES_DIR="/elsewhere")["default"]
    assert default["EMBEDDED"] == {"directory": "/elsewhere", "database": "stillme"}


def test_pool_and_timeouts() -> None:
    default = settings_with(
        DB_POOL_MAX_SIZE="4", DB_POOL_TIMEOUT="2.5", STATEMENT_TIMEOUT="900", LOCK_TIMEOUT="50"
    )["default"]
    assert default["OPTIONS"]["pool"] == {"min_size": 1, "max_size": 4, "timeout": 2.5}
    assert default["CONN_MAX_AGE"] == 0
    assert default["OPTIONS"]["options"] == "-c statement_timeout=900 -c lock_timeout=50"


def test_prepared_statements_can_be_switched_off() -> None:
    assert settings_with()["default"]["OPTIONS"]["prepare_threshold"] == 2
    bouncer = "postgresql://me@db/x?DISABLE_SERVER_SIDE_CURSORS=True"
    for given in ({"DB_PREPARED_STATEMENTS": "no"}, {"DATABASE_URL": bouncer}):
        assert "prepare_threshold" not in settings_with(**given)["default"]["OPTIONS"]


def test_legacy_paths() -> None:
    found = settings_with(LEGACY_DATA_DIR="/srv/still me", LEGACY_ACCURACY_PATH="/a.db")
    assert found["legacy"] == {
        "knowledge": "/srv/still me/knowledge_retention.db",
        "continuum": "/srv/still me/continuum_memory.db",
        "rss": "/srv/still me/rss_fetch_history.db",
        "accuracy": "/a.db",
    }
    assert found["vector"] == "/srv/still me/vector_db"
    assert found["rss"]["NAME"] == "file:/srv/still%20me/rss_fetch_history.db?mode=ro"
    assert found["rss"]["OPTIONS"] == {"detect_types": 0}


def test_a_path_may_begin_at_home(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    found = settings_with(
        LEGACY_DATA_DIR="~/data", LEGACY_RSS_PATH="~/r.db", EMBEDDED_POSTGRES_DIR="~/pg", **home
    )
    assert found["legacy"]["knowledge"] == str(tmp_path / "data" / "knowledge_retention.db")
    assert found["legacy"]["rss"] == str(tmp_path / "r.db")
    assert found["default"]["EMBEDDED"]["directory"] == str(tmp_path / "pg")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "path", ["~nobody-of-this-name/data", "$NOWHERE/data", os.fsdecode(b"d\xe9")]
)
def test_a_path_that_leads_nowhere_known_is_a_sentence(path: str) -> None:
    answer = process("manage.py", "check", LEGACY_DATA_DIR=path)
    assert answer.returncode == 2
    assert "LEGACY_DATA_DIR" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_blanks_and_line_breaks_around_a_value_do_not_count() -> None:
    found = settings_with(
        DATABASE_URL=" postgresql://me:pw@db/x?sslmode=require\n",
        LEGACY_DATA_DIR=" /srv/d\n",
        DEBUG=" True\r\n",
    )
    assert found["default"]["NAME"] == "x"
    assert found["default"]["OPTIONS"]["sslmode"] == "require"
    assert found["legacy"]["knowledge"] == "/srv/d/knowledge_retention.db"
    assert found["debug"] is True


def test_a_value_may_name_another_variable() -> None:
    url = "postgresql://me:pw@db/x"
    assert settings_with(DATABASE_URL="$THE_URL", THE_URL=url)["default"]["NAME"] == "x"
    # Never the default in its place: that is another database.
    answer = process("manage.py", "check", DATABASE_URL="$THE_URL")
    assert answer.returncode == 2


def test_stillmes_own_variables_count_after_ours() -> None:
    theirs = {"RSS_FETCH_HISTORY_DB_PATH": "/app/data/r.db", "CHROMA_DB_PATH": "/app/data/v"}
    found = settings_with(**theirs)
    assert (found["legacy"]["rss"], found["vector"]) == ("/app/data/r.db", "/app/data/v")
    ours = settings_with(**theirs, LEGACY_RSS_PATH="/r.db", LEGACY_VECTOR_DIR="/v")
    assert (ours["legacy"]["rss"], ours["vector"]) == ("/r.db", "/v")


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:geheim@db/x",
        "postgresql://me:geheim@db",
        "postgresql://me:ge#heim@db/x",
        "postgresql://me:geheim@[db/x",
        "postgresql://me:g@e'heim/heim@db/x",
        "postgresql://me:ge?heim@db/x?sslmode=require",
        "postgresql://me:geheim@db:99999999/x",
        "postgresql://me:geheim@db:port/x",
    ],
)
def test_an_unusable_url_is_a_sentence_without_the_password(url: str) -> None:
    answer = process("manage.py", "check", DATABASE_URL=url)
    assert answer.returncode == 2
    assert answer.stderr.startswith("A database URL is not usable")
    assert "heim" not in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("foo=s3cret", "The option foo in a database URL is not known"),
        ("sslmode=require&Sslmode=x", "The option Sslmode in a database URL is not known"),
        ("pool=true", "DB_POOL_MAX_SIZE"),
        ("connect_timeout=s3cret", "The option connect_timeout in a database URL is no whole"),
        ("conn_max_age=s3cret", "The option conn_max_age in a database URL is no number"),
        ("conn_health_checks=false", "conn_health_checks in a database URL is neither True nor"),
        ("s3 cret=1", "The option whose name has odd characters in a database URL"),
    ],
)
def test_an_option_of_the_url_that_is_not_usable_is_named(query: str, said: str) -> None:
    url = f"postgresql://u:hidden@h/d?{query}"
    answer = process("manage.py", "check", DATABASE_URL=url)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert "s3" not in answer.stderr
    assert "hidden" not in answer.stderr


def test_usable_options_of_the_url_are_taken() -> None:
    query = "sslmode=require&connect_timeout=3&conn_max_age=60&assume_role=x&atomic_requests=True"
    found = settings_with(DATABASE_URL=f"postgresql://u:p@h/d?{query}")["default"]
    assert found["OPTIONS"]["connect_timeout"] == 3
    assert (found["CONN_MAX_AGE"], found["ATOMIC_REQUESTS"]) == (60, True)


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DB_POOL_MAX_SIZE", "many", "DB_POOL_MAX_SIZE is no whole number"),
        ("REPLICA_MAX_LAG", "5s", "REPLICA_MAX_LAG is no number"),
        ("SECURE_SSL", "ture", "SECURE_SSL is no switch"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is none of DEBUG, INFO"),
        ("LEGACY_TIME_ZONE", "Mars/Olympus", "LEGACY_TIME_ZONE='Mars/Olympus' is no IANA"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT is none of plain, json"),
    ],
)
def test_a_value_that_is_none_is_a_sentence(name: str, value: str, said: str) -> None:
    answer = process("manage.py", "check", **{name: value})
    assert answer.returncode == 2
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("level", ["info", "Warning", " debug\n"])
def test_a_log_level_may_be_written_in_any_case(level: str) -> None:
    show = "from django.conf import settings; print(settings.LOGGING['root']['level'])"
    answer = process("-c", show, LOG_LEVEL=level)
    assert answer.stdout == f"{level.strip().upper()}\n", answer.stderr


def test_help_and_check_need_no_server(tmp_path: Path) -> None:
    cluster = tmp_path / "cluster"
    for command in (["help"], ["check"]):
        answer = process("manage.py", *command, EMBEDDED_POSTGRES_DIR=str(cluster))
        assert answer.returncode == 0, answer.stderr
    assert not cluster.exists()


def test_production_settings_are_clean() -> None:
    production = {
        "SECURE_SSL": "true",
        "SECRET_KEY": "an-example-of-a-key-that-is-long-enough-and-varied-0123456789",
        "ALLOWED_HOSTS": "stillme.example",
        "DATABASE_URL": "postgresql://me@db/x",
    }
    answer = process("manage.py", "check", "--deploy", "--fail-level", "WARNING", **production)
    assert answer.returncode == 0, answer.stderr


def test_no_command_makes_a_table_in_a_legacy_file(tmp_path: Path) -> None:
    file = tmp_path / "accuracy_scores.db"
    file.touch()
    answer = process(
        "manage.py", "migrate", "--database", "legacy_accuracy", LEGACY_DATA_DIR=str(tmp_path)
    )
    assert answer.returncode == 2
    assert file.stat().st_size == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["accuracy_scores.db"]
