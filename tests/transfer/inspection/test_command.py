"""The command: its outputs, its exit statuses, and the generated documentation."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from stillme.demo.samples import make_samples
from stillme.transfer.registry import legacy_models
from stillme.transfer.reports.schema_document import schema_document
from tests.fork_server import run_python
from tests.transfer.load.support import change

DOCUMENT = ("inspect_sqlite", "--schema-doc", "docs/reference/schema.md", "--check")
ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("inspect_sqlite", *arguments, stdout=out)
    except SystemExit as ended:
        return out.getvalue(), int(ended.code or 0)
    return out.getvalue(), 0


def test_text_fits_eighty_columns(legacy: Path) -> None:
    change(legacy, "knowledge", "UPDATE knowledge_items SET content = 'a[red]b' WHERE id = 3")
    out, status = run()
    assert status == 1
    assert max(map(len, out.splitlines())) <= 80
    for word in ("knowledge_items", "quarantined", "missing_parent", "+07:00", "Nothing was"):
        assert word in out


def test_json_says_it_all(legacy: Path) -> None:
    out, status = run("--format", "json", "--file", "rss")
    told = json.loads(out)
    assert [f["file"] for f in told["files"]] == ["rss"]
    assert told["clean"] == (status == 0)
    (cycles, items) = told["files"][0]["tables"]
    assert (cycles["table"], items["table"]) == ("rss_fetch_cycles", "rss_fetch_items")
    assert items["rows"] == items["loaded"] + items["repaired"] + items["quarantined"]
    assert told["files"][0]["clock"]["usual_minutes"] == 420


def test_status_0_when_everything_will_load(
    tmp_path: Path, use_legacy_files: Callable[[Path], None]
) -> None:
    make_samples(tmp_path, rows=20, variant="clean", files=["rss_fetch_history"])
    use_legacy_files(tmp_path)
    assert run("--file", "rss")[1] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--file", "nothing"), "no legacy file 'nothing'"),
        (("--check",), "belongs to --schema-doc"),
        (("--schema-doc", "/no/such/folder/x.md"), "cannot be used"),
    ],
)
def test_status_2_with_a_sentence(arguments: tuple[str, ...], sentence: str, legacy: Path) -> None:
    with pytest.raises(CommandError, match=sentence) as error:
        run(*arguments)
    assert error.value.returncode == 2


def test_no_file_at_all(tmp_path: Path, use_legacy_files: Callable[[Path], None]) -> None:
    use_legacy_files(tmp_path)
    with pytest.raises(CommandError, match="LEGACY_DATA_DIR"):
        run()


def test_the_schema_documentation_is_up_to_date() -> None:
    assert (ROOT / "docs" / "reference" / "schema.md").read_text("utf-8") == schema_document()


def test_a_stale_documentation_is_told_and_renewed(tmp_path: Path) -> None:
    page = tmp_path / "schema.md"
    assert run("--schema-doc", str(page), "--check")[1] == 1
    assert not page.exists()
    assert run("--schema-doc", str(page))[1] == 0
    assert run("--schema-doc", str(page), "--check")[1] == 0
    page.write_text(page.read_text() + "x")
    assert run("--schema-doc", str(page), "--check")[1] == 1


def test_the_documentation_names_every_column_of_both_sides() -> None:
    text = schema_document()
    for model in legacy_models():
        for column in model.columns():
            assert f"| `{column.column}` | `{column.declared}` |" in text
        for field in model.target_model()._meta.concrete_fields:
            assert f"`{field.column}`" in text
    assert text.count("erDiagram") == 5
    assert "knowledge_items ||--o{ knowledge_relationships : source_id" in text


def test_the_documentation_needs_neither_files_nor_server(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "LEGACY_DATA_DIR": str(tmp_path / "nothing"),
        "SECRET_KEY": "only-for-tests",
    }
    ended = run_python(["manage.py", *DOCUMENT], ROOT, environment)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_store_that_cannot_be_read_is_to_be_decided(legacy: Path) -> None:
    (legacy / "vector_db").mkdir()
    (legacy / "vector_db" / "chroma.sqlite3").write_bytes(b"no database")
    out, status = run("--file", "vector")
    assert status == 1
    assert "to decide vector:" in out
