"""Following rows by keys of every kind: odd text, bytes, keys that read alike."""

from __future__ import annotations

import pytest

from stillme.transfer.errors import StateError
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.sqlite.capture import Health
from stillme.transfer.steps.follow import follow
from stillme.transfer.steps.install_capture import capture_reports, install_capture
from stillme.transfer.verify.verification import VerifyOptions, verify

from .equal import differences
from .test_follow import ALL, ONCE, write

pytestmark = pytest.mark.only_files("knowledge", "continuum")


def test_text_keys_of_every_kind(clean_data):
    continuum = clean_data / "continuum_memory.db"
    insert = "INSERT INTO tier_metrics (item_id, tier) VALUES "
    write(
        continuum,
        insert + "(NULL, 'L0'), (NULL, 'L1'), (CAST(x'c328' AS TEXT), 'L0'), (x'0102', 'L0')",
        (insert + "(?, 'L0')", ("nul\0key",)),
        (insert + "(?, 'L2')", ("học máy",)),
        "INSERT OR REPLACE INTO tier_metrics (item_id, tier) VALUES ('học máy', 'L3')",
    )
    follow(ONCE)
    assert QuarantinedRow.objects.filter(table="tier_metrics").count() == 5
    assert differences() == {}
    write(
        continuum,
        "DELETE FROM tier_metrics WHERE item_id IS NULL AND tier = 'L0'",
        "DELETE FROM tier_metrics WHERE typeof(item_id) = 'blob' OR instr(item_id, char(0))",
        "DELETE FROM tier_metrics WHERE CAST(item_id AS BLOB) = x'c328'",
    )
    follow(ONCE)
    assert QuarantinedRow.objects.filter(table="tier_metrics").count() == 1
    assert differences() == {}


@pytest.mark.slow
def test_rows_that_read_alike_are_followed_apart(legacy):
    """A text key and a blob, a number and a text, a key twice: each is told by its cells."""
    data = legacy()
    continuum, knowledge = data / "continuum_memory.db", data / "knowledge_retention.db"
    tier = "INSERT INTO tier_metrics (item_id, tier) VALUES (%s, 'L1')"
    write(continuum, *(tier % key for key in ("'twin'", "x'7477696e'", "CAST(x'ff' AS TEXT)")))
    write(
        knowledge,
        "ALTER TABLE knowledge_relationships RENAME TO before",
        "CREATE TABLE knowledge_relationships AS SELECT * FROM before",
        "DROP TABLE before",
        "INSERT INTO knowledge_relationships SELECT * FROM knowledge_relationships WHERE id < 40",
    )
    install_capture("default", ALL)
    follow(ONCE)
    assert differences() == {}
    write(continuum, "UPDATE tier_metrics SET surprise_score = 0.25 WHERE item_id = 'twin'")
    write(
        knowledge,
        "DELETE FROM knowledge_items WHERE id % 3 = 0",
        "UPDATE knowledge_relationships SET strength = 'x' WHERE rowid % 5 = 0",
        "DELETE FROM knowledge_relationships WHERE rowid % 7 = 0",
    )
    follow(ONCE)
    proof = verify(VerifyOptions(jobs=1))
    assert [finding.sentence() for finding in proof.findings.kept] == []
    write(continuum, "DELETE FROM tier_metrics WHERE item_id = 'twin'")
    follow(ONCE)
    assert QuarantinedRow.objects.filter(table="tier_metrics", key="twin").count() == 1
    assert [f.sentence() for f in verify(VerifyOptions(jobs=1)).findings.kept] == []


def test_keys_without_case_cannot_be_captured(legacy):
    """`INSERT OR REPLACE` of KEY deletes key, and no trigger tells."""
    continuum = legacy() / "continuum_memory.db"
    write(
        continuum,
        "DROP TABLE tier_metrics",
        "CREATE TABLE tier_metrics (item_id TEXT COLLATE NOCASE PRIMARY KEY, tier TEXT)",
    )
    with pytest.raises(StateError, match="declare item_id TEXT PRIMARY KEY"):
        install_capture("default", ALL)
    assert {r.health for r in capture_reports("default", ALL)} == {Health.ABSENT}
