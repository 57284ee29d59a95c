"""The keys of which the ledger says something: read once for a table, given out by range."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from stillme.transfer.identity import TableId
from stillme.transfer.keys import Key
from stillme.transfer.models import QuarantinedRow, Run
from stillme.transfer.verify.rows import quarantine_records
from stillme.transfer.verify.sides import noted_keys
from tests.made_once import put_samples
from tests.transfer.verify.test_scans import mappings

pytestmark = pytest.mark.django_db
ODD = ("", "x", "1e3", " 4", "-", "99999999999999999999", "9223372036854775808")


def note(table: str, *keys: str, file: str = "rss") -> None:
    """Records of such keys, some of them twice."""
    run = Run.objects.create(command="import_sqlite")
    for key in (*keys, *keys[:2]):
        given: dict[str, Any] = {"file": file, "table": table, "key": key, "cells": {}}
        QuarantinedRow.objects.create(run=run, reason="blob", sentence="s", **given)


@pytest.mark.parametrize("at_once", [1, 2, 6, 7])
def test_integers_by_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(noted_keys, "AT_ONCE", at_once)
    put_samples(tmp_path, rows=5, files=["rss"])
    mapping = mappings(tmp_path / "rss_fetch_history.db")["rss_fetch_items"]
    assert mapping.identity == TableId("rss", "rss_fetch_items")
    least, most = -(2**63), 2**63 - 1
    note("rss_fetch_items", "7", "-12", str(least), str(most), "8", "0", *ODD)
    note("rss_fetch_cycles", "3")
    noted = noted_keys.NotedKeys("default", mapping)
    everything = {(least,), (-12,), (0,), (7,), (8,), (most,)}
    assert noted.within(None, None) == (set(), everything)
    assert noted.within(Key.of(0), Key.of(7)) == (set(), {(7,)})
    assert noted.within(Key.of(8), None) == (set(), {(most,)})
    assert noted.within(None, Key.of(-13)) == (set(), {(least,)})
    if at_once > len(everything):
        monkeypatch.setattr(noted_keys, "read", pytest.fail)
    parts = [(None, Key.of(-12)), (Key.of(-12), Key.of(7)), (Key.of(7), None)]
    found = [noted.within(*part)[1] for part in parts]
    assert set.union(*found) == everything
    assert sum(map(len, found)) == len(everything)


def test_other_keys_all_at_once(tmp_path: Path) -> None:
    put_samples(tmp_path, rows=5, files=["continuum"])
    mapping = mappings(tmp_path / "continuum_memory.db", "continuum")["tier_metrics"]
    note("tier_metrics", "a", "7", file="continuum")
    noted = noted_keys.NotedKeys("default", mapping)
    assert noted.within(Key.of("a"), Key.of("b")) == (set(), {("a",), ("7",)})


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_records_of_no_row(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Those that no row claims, and all of an id that stands twice, wherever a batch ends."""
    monkeypatch.setattr(quarantine_records, "_AT_ONCE", at_once)
    note("rss_fetch_items", *"abcdefgh")
    records = QuarantinedRow.objects.order_by("pk")
    ids = list(records.values_list("pk", flat=True))
    claimed = array("q", [*ids[:3], ids[2], *ids[4:]])
    assert [r.pk for r in quarantine_records._beyond(records, claimed)] == [ids[3]]
    assert not list(quarantine_records._beyond(records, array("q", ids)))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE transfer.quarantined_row DROP CONSTRAINT quarantined_row_pkey")
        cursor.execute("ALTER TABLE transfer.quarantined_row ALTER id DROP IDENTITY IF EXISTS")
        cursor.execute(
            "UPDATE transfer.quarantined_row SET id = %s WHERE id = %s", [ids[4], ids[5]]
        )
    found = [r.pk for r in quarantine_records._beyond(records, array("q", ids))]
    assert found == [ids[4], ids[4]]
    everything = {record.pk for record in quarantine_records._beyond(records, array("q"))}
    assert everything == {*ids} - {ids[5]}
