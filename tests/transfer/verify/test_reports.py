"""JSON against its documented schema, the HTML page, the manifest, and every exit status."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.conftest import ROOT
from tests.fork_server import run_python
from tests.transfer.load.support import FILES, change, query, run_import
from tests.transfer.verify.support import accept_all, undone

pytestmark = pytest.mark.only_files("knowledge", "rss", "accuracy")

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def validate(value: Any, schema: dict[str, Any], at: str = "$") -> None:
    """As much of JSON Schema as docs/reference/verification.schema.json uses."""
    if "enum" in schema:
        assert value in schema["enum"], at
        return
    if "type" not in schema:
        return
    named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(isinstance(value, TYPES[name]) for name in named), (at, value)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        assert set(schema.get("required", ())) <= set(value), at
        for name, member in value.items():
            inner = known.get(name, schema.get("additionalProperties", {}))
            assert inner is not False, f"{at}.{name} is not in the schema"
            validate(member, inner, f"{at}.{name}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            validate(item, schema.get("items", {}), f"{at}[{number}]")
    if isinstance(value, int) and "minimum" in schema:
        assert value >= schema["minimum"], at
    if isinstance(value, str) and "pattern" in schema:
        assert re.search(schema["pattern"], value), at


def command(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify_migration", "--jobs", "1", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.mark.parametrize("options", [["--round-trip"], ["--level", "counts"], ["--sample", "20"]])
def test_the_json_keeps_to_its_schema(proven: Path, options: list[str]) -> None:
    schema = json.loads((ROOT / "docs" / "reference" / "verification.schema.json").read_text())
    validate(json.loads(command("--format", "json", *options)[1]), schema)
    with undone():
        query("DELETE FROM rss.fetch_items")
        report = json.loads(command("--format", "json", *options)[1])
        assert report["findings"]
        validate(report, schema)


def test_the_page_says_everything(proven: Path, tmp_path: Path) -> None:
    page = tmp_path / "proof.html"
    assert command("--html", str(page), "--round-trip")[0] == 0
    assert page.stat().st_mode & 0o777 == 0o600
    text = page.read_text()
    for words in ("PROVEN", "SHA-256", "knowledge.knowledge_items", "postgresql", "accepted"):
        assert words in text
    assert "src=" not in text
    assert "<link" not in text
    with undone():
        query("UPDATE knowledge.knowledge_items SET source = '<script>' WHERE id = 9")
        assert command("--html", str(page))[0] == 1
    assert "NOT PROVEN" in page.read_text()
    assert "<script>" not in page.read_text()
    with pytest.raises(CommandError, match="cannot be written"):
        command("--html", str(tmp_path / "nowhere" / "proof.html"))
    (tmp_path / "link.html").symlink_to(page)
    with pytest.raises(CommandError, match="is a link"):
        command("--html", str(tmp_path / "link.html"))


def test_the_manifest_is_checked(proven: Path, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    assert command("--manifest", str(path))[0] == 0
    assert command("--check-manifest", str(path))[0] == 0
    stored = json.loads(path.read_text())
    assert len(stored["files"]["rss"]["sha256"]) == 64
    assert all(len(table["digest"]) == 64 for table in stored["tables"].values())
    path.write_text(path.read_text().replace('"exit_status": 0', '"exit_status": 1'))
    status, text = command("--check-manifest", str(path))
    assert (status, "the manifest itself" in text) == (1, True)
    path.write_text("{}")
    with pytest.raises(CommandError, match="not a manifest"):
        command("--check-manifest", str(path))


def test_a_manifest_of_no_proof_is_none(proven: Path, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    with undone():
        query("DELETE FROM rss.fetch_items")
        assert command("--manifest", str(path))[0] == 1
    status, text = command("--check-manifest", str(path))
    assert (status, "NOT PROVEN" in text, "not proven then" in text) == (1, True, True)
    assert "differs" not in text
    assert json.loads(command("--check-manifest", str(path), "--format", "json")[1])["status_then"]


@pytest.mark.slow
def test_the_digest_is_of_the_path_that_the_manifest_prints(
    proven: Path, tmp_path: Path, settings: Any
) -> None:
    path = tmp_path / "proof.json"
    command("--manifest", str(path))
    files = {
        name: {**file, "path": tmp_path / "elsewhere.db"}
        for name, file in settings.TRANSFER["FILES"].items()
    }
    settings.TRANSFER = {**settings.TRANSFER, "FILES": files}
    settings.LEGACY_VECTOR_DIR = tmp_path / "elsewhere"
    assert command("--check-manifest", str(path))[0] == 0


def _with(**changes: Any) -> Any:
    return lambda whole: json.dumps({**whole, **changes}).encode()


def _without(name: str) -> Any:
    return lambda whole: json.dumps({k: v for k, v in whole.items() if k != name}).encode()


MANGLED = {
    "cut short": lambda whole: json.dumps(whole).encode()[:200],
    "empty": lambda whole: b"",
    "not UTF-8": lambda whole: b"\xff\xfe" + json.dumps(whole).encode(),
    "a list": lambda whole: b"[]",
    "a number": lambda whole: b"1",
    "too deep": lambda whole: b"[" * 100_000,
    "another format": _with(format="x"),
    "no files": _without("files"),
    "files a list": _with(files=[]),
    "files null": _with(files=None),
    "a file a text": _with(files={"rss": "x"}),
    "a file null": _with(files={"rss": None}),
    "no path": _with(files={"rss": {"sha256": "0"}}),
    "no digest": _with(files={"rss": {"path": "/x"}}),
    "path a number": _with(files={"rss": {"path": 1, "sha256": "0"}}),
    "path with NUL": _with(files={"rss": {"path": "/x\0", "sha256": "0"}}),
    "no verdict": _without("verdict"),
    "verdict a list": _with(verdict=[]),
    "no status": _without("exit_status"),
    "status a text": _with(exit_status="0"),
    "no sha256": _without("sha256"),
    "sha256 null": _with(sha256=None),
}


@pytest.mark.slow_after(4)
@pytest.mark.parametrize("how", MANGLED)
def test_a_mangled_manifest_is_one_sentence(
    proven: Path, tmp_path: Path, manifest: dict[str, Any], how: str
) -> None:
    path = tmp_path / "proof.json"
    path.write_bytes(MANGLED[how](manifest))
    with pytest.raises(CommandError, match=r"proof\.json is ") as refused:
        command("--check-manifest", str(path))
    assert refused.value.returncode == 2


def test_a_folder_is_no_manifest(proven: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        command("--check-manifest", str(tmp_path))


@pytest.fixture(scope="module")
def manifest(proven: Path, tmp_path_factory: Any, django_db_blocker: Any) -> Any:
    path = tmp_path_factory.mktemp("manifest") / "proof.json"
    with django_db_blocker.unblock():
        command("--manifest", str(path))
    return json.loads(path.read_text())


@pytest.mark.slow
def test_another_file_is_not_that_of_the_manifest(proven: Path, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    command("--manifest", str(path))
    file = proven / FILES["accuracy"]
    original = file.read_bytes()
    try:
        change(proven, "accuracy", "DELETE FROM accuracy_scores WHERE id = 3")
        status, text = command("--check-manifest", str(path))
    finally:
        file.write_bytes(original)
    assert (status, "differs accuracy" in text) == (1, True)


def test_the_table_fits_80_columns(proven: Path) -> None:
    text = command()[1]
    table = text[: text.index("cells compared")]
    # Notes and paths are as long as they are.
    lines = [line for line in table.splitlines() if not line.startswith(("note", "reading"))]
    assert max(len(line.rstrip()) for line in lines) <= 80


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    done = run_python(["manage.py", "verify_migration", *arguments], ROOT, environment)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.only_files("accuracy", "rss")
@pytest.mark.django_db(transaction=True)
def test_every_exit_status(legacy: Path, target_environment: dict[str, str]) -> None:
    run_import()
    status, text = run(target_environment)
    assert (status, "nobody has decided about" in text) == (1, True)
    accept_all()
    assert run(target_environment)[0] == 0
    query("UPDATE accuracy.accuracy_scores SET accuracy_score = 2 WHERE id = 3")
    status, text = run(target_environment)
    assert status == 1
    assert "value: accuracy.accuracy_scores:accuracy_score id=3 expected" in text
    (legacy / FILES["rss"]).write_bytes(b"not a database, but long enough to look at" * 50)
    status, text = run(target_environment)
    assert (status, "rss_fetch_history.db" in text) == (2, True)
