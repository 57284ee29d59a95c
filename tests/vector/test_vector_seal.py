"""The vector folder after the cut-over: read-only once it is proven as it is now."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import call_command

from stillme.transfer.findings import ignore_event
from stillme.transfer.models import FileState, Seal
from stillme.transfer.plumbing.permissions import may_be_written, mode_of
from stillme.transfer.steps import cutover
from stillme.transfer.steps.readiness.lines import unswitched
from stillme.transfer.steps.sealing.broken import broken_seals
from stillme.transfer.steps.sealing.seal import seal, unseal
from tests.vector.chroma_files import ADD, ChromaFiles
from vector.legacy import VectorStore

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path: Path, settings, use_legacy_files) -> Path:  # type: ignore[no-untyped-def]
    """A store with files of its segments, and the old files gone live."""
    use_legacy_files(tmp_path)
    made = ChromaFiles(settings.LEGACY_VECTOR_DIR)
    collection = made.collection("stillme_knowledge")
    for n in range(5):
        collection.write(ADD, f"k{n}", [float(n), 1.0, 2.0, 3.0], f"doc {n}", {"n": n})
    FileState.objects.create(file="rss", state=FileState.State.LIVE)
    return Path(settings.LEGACY_VECTOR_DIR)


def command(name: str) -> None:
    call_command(name, "--file", "vector", stdout=io.StringIO())


def proven() -> None:
    command("import_sqlite")
    command("verify_migration")


def paths(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def test_there_and_back(folder: Path) -> None:
    proven()
    segment = folder / "segment"
    segment.mkdir(mode=0o750)
    assert cutover.finish_interrupted("default") is None, "it is not as it was proven"
    segment.rmdir()
    before = {path: mode_of(path) for path in paths(folder)}
    assert seal("default", [], ignore_event) == []
    assert not any(may_be_written(path) for path in paths(folder))
    assert "vector" not in unswitched([]), "it is read-only now, so it does not take writes"
    assert broken_seals("default") == []
    # Reading goes on: an import and a proof make copies.
    proven()
    assert broken_seals("default") == []
    unseal("default")
    assert {path: mode_of(path) for path in paths(folder)} == before


@pytest.mark.slow
def test_what_is_not_proven_stays_writable_until_it_is(folder: Path) -> None:
    for step in (lambda: None, lambda: command("import_sqlite")):
        step()
        (sentence,) = seal("default", [], ignore_event)
        assert "stop its writers" in sentence
        assert may_be_written(folder)
    command("verify_migration")
    result = cutover.finish_interrupted("default")
    assert result is None, "no file of the four is there"
    assert seal("default", [], ignore_event) == []
    assert not may_be_written(folder)


def test_what_is_written_while_it_is_sealed_is_not_taken_for_proven(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest of a large store takes seconds."""
    proven()
    asked = VectorStore.digest

    def digest(self: VectorStore, path: Path) -> str:
        found = asked(self, path)
        (folder / "late.bin").write_bytes(b"a vector")
        return found

    monkeypatch.setattr(VectorStore, "digest", digest)
    (sentence,) = seal("default", [], ignore_event)
    assert "is not proven as it is now" in sentence
    assert may_be_written(folder)


@pytest.mark.slow
def test_a_folder_that_was_moved_keeps_its_permissions(folder: Path, settings, tmp_path) -> None:  # type: ignore[no-untyped-def]
    proven()
    before = {path.name: mode_of(path) for path in paths(folder)}
    seal("default", [], ignore_event)
    settings.LEGACY_VECTOR_DIR = folder.rename(tmp_path / "elsewhere")
    before["elsewhere"] = before.pop("vector_db")
    assert seal("default", [], ignore_event) == []
    assert broken_seals("default") == []
    assert not Seal.objects.filter(path__startswith=str(folder)).exists()
    unseal("default")
    assert {path.name: mode_of(path) for path in paths(tmp_path / "elsewhere")} == before


@pytest.mark.slow
@contextmanager
def unsealed(path: Path) -> Iterator[None]:
    """Writable meanwhile, as it is for root all the time."""
    mode = path.stat().st_mode
    path.chmod(0o755)
    yield
    path.chmod(mode)


def test_sealing_again_hides_nothing(folder: Path) -> None:
    proven()
    seal("default", [], ignore_event)
    with unsealed(folder):
        (folder / "chroma.sqlite3").unlink()
        (folder / "new").touch()
    said = [broken.public for broken in broken_seals("default")]
    assert len(said) == 2
    seal("default", [], ignore_event)
    assert [broken.public for broken in broken_seals("default")] == said


def _write(folder: Path) -> None:
    database = folder / "chroma.sqlite3"
    with unsealed(database):
        database.write_bytes(b"x")


def _make(folder: Path) -> None:
    with unsealed(folder):
        (folder / "temp_1234").mkdir()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_write, "chroma.sqlite3 was written to since"),
        (_make, "vector_db got or lost something"),
        (lambda f: f.rename(f.with_name("gone")), "vector_db is gone since the cut-over"),
        (lambda f: f.chmod(0o755), "vector_db may be written"),
    ],
)
def test_whoever_touches_it_is_told_of(folder: Path, change: object, sentence: str) -> None:
    proven()
    seal("default", [], ignore_event)
    change(folder)  # type: ignore[operator]
    assert [broken.public.startswith(sentence) for broken in broken_seals("default")] == [True]


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    (folder / "link").symlink_to(other)
    seal_of_store(folder)
    assert may_be_written(other / "file")


def seal_of_store(folder: Path) -> None:
    """As if it were proven: what is noted already is sealed again."""
    Seal.objects.create(path=str(folder), file="vector", mode=mode_of(folder), seen={})
    assert seal("default", [], ignore_event) == []
    assert not may_be_written(folder)
