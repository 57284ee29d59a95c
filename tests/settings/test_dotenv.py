"""`.env` as editors and other tools write it: read, or refused without a word of what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from stillme.dotenv import read_dotenv
from tests.conftest import ROOT
from tests.fork_server import run_python

URL = "postgresql://me:geheim%23@db/x"
PLAIN = f"DATABASE_URL={URL}\nLEGACY_DATA_DIR=/srv/still me\n"
SPACED = f"\tDATABASE_URL = {URL} \nLEGACY_DATA_DIR\t=  /srv/still me   # the files\n"
QUOTED = f"DATABASE_URL='{URL}' # ours\nexport  LEGACY_DATA_DIR = \"/srv/still me\"\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.encode("utf-32"),
        PLAIN.replace("\n", "\r\n").encode("utf-8-sig"),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.strip().encode(),
        SPACED.encode(),
        QUOTED.encode(),
        f"\ufeff  # a comment\n\n   \n{SPACED}#DATABASE_URL=other\n".encode(),
        PLAIN.replace("=", "\u00a0=\u00a0").encode(),
    ],
)
def test_what_editors_write_is_read(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / ".env"
    file.write_bytes(content)
    assert read_dotenv(file) == {"DATABASE_URL": URL, "LEGACY_DATA_DIR": "/srv/still me"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=", ""),
        ("A= # nothing", ""),
        ("A=#1", "#1"),
        ("A=a#b=c", "a#b=c"),
        ("A='a # b'", "a # b"),
        (r'A="a \"b\" \\ \n"', r'a "b" \ \n'),
        ("A=it's", "it's"),
        ("A=$B", "$B"),
        ("A=1\nA=2", "2"),
        ("A=x\u2028y", "x\u2028y"),
    ],
)
def test_values(tmp_path: Path, line: str, value: str) -> None:
    file = tmp_path / ".env"
    file.write_text(line, encoding="utf-8")
    assert read_dotenv(file) == {"A": value}


BAD = {
    "no name": b"DEBUG=false\n\npostgresql://me:geheim@db/x?sslmode=require",
    "a colon": b"DEBUG=false\n\nDATABASE_URL: postgresql://me:geheim@db/x",
    "an open quote": b"DEBUG=false\n\nDATABASE_URL='postgresql://me:geheim@db/x",
    "text behind a quote": b'DEBUG=false\n\nDATABASE_URL="postgresql://me:geheim"@db/x',
    "a word before the name": b"DEBUG=false\n\nset DATABASE_URL=postgresql://me:geheim@db/x",
    "a NUL": b"DEBUG=false\n\nDATABASE_URL=postgresql://me:geheim@db/x\0",
    "Latin-1": b"DEBUG=false\n\nDATABASE_URL=postgresql://me:geheim\xe9@db/x",
}


@pytest.mark.parametrize("name", BAD)
def test_a_line_that_cannot_be_read_is_named_by_its_number(tmp_path: Path, name: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes(BAD[name])
    with pytest.raises(ImproperlyConfigured, match=r"(?i)line 3 ") as refused:
        read_dotenv(file)
    assert "geheim" not in str(refused.value)


def test_utf_16_without_its_mark_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(PLAIN.encode("utf-16-le"))
    with pytest.raises(ImproperlyConfigured, match="Line 1 "):
        read_dotenv(file)


def test_a_file_that_is_there_and_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / ".env") == {}
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for name in ("folder", "link"):
        with pytest.raises(ImproperlyConfigured, match="cannot be read"):
            read_dotenv(tmp_path / name)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the project's own code, for a `.env` of its own."""
    shutil.copytree(
        ROOT / "stillme", tmp_path / "stillme", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "manage.py", tmp_path)
    return tmp_path


def started(place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return run_python(command, place, {**keep, "PYTHONPATH": str(place)})


ENTRIES = {
    "manage.py": ["manage.py", "check"],
    "a command of ours": ["manage.py", "import_sqlite"],
    "help": ["manage.py", "help"],
    "wsgi": ["-c", "import stillme.wsgi"],
    "asgi": ["-c", "import stillme.asgi"],
    "setup": ["-c", "import stillme; stillme.setup()"],
    "pytest": ["-m", "pytest", "--ds=stillme.settings", "-p", "no:cacheprovider", "stillme"],
}


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("entry", ENTRIES)
def test_no_entry_goes_on_with_the_defaults(place: Path, entry: str) -> None:
    (place / ".env").write_text("LEGACY_DATA_DIR=/srv\nDATABASE_URL: postgresql://me:geheim@db/x\n")
    answer = started(place, *ENTRIES[entry])
    said = answer.stdout + answer.stderr
    assert "Line 2 of" in said
    assert "geheim" not in said
    if entry == "help":
        return
    assert answer.returncode != 0
    if entry in ("manage.py", "a command of ours"):
        assert answer.returncode == 2
        assert answer.stderr.count("\n") == 1


def test_the_settings_are_those_of_the_file(place: Path) -> None:
    (place / ".env").write_text(f"\ufeff{SPACED}EMBEDDED_POSTGRES_DIR = cluster\n")
    show = (
        "import json; from stillme import settings as s; print(json.dumps([s.DATABASES['default']"
        "['HOST'], str(s.LEGACY_DATA_DIR), str(s.EMBEDDED_POSTGRES_DIR)]))"
    )
    answer = started(place, "-c", show)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == ["db", "/srv/still me", str(place / "cluster")]
