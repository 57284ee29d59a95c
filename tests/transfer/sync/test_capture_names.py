"""Each target table has a capture function of its own, however long its name is."""

from __future__ import annotations

from stillme.transfer.postgresql.capture.templates import TargetTable

LONG = "letters_seen_by_everybody_who_has_carried_them_so_far"


def test_names_fit_and_differ() -> None:
    tables = [
        TargetTable("public", "orders", '"id"::text'),
        TargetTable("public", LONG, "id"),
        TargetTable("public", f"{LONG}_and_since", '"id"::text'),
        TargetTable("public", "é" * 31, "id"),
        TargetTable("sales_old", "orders", '"id"::text'),
        TargetTable("sales", "old_orders", '"id"::text'),
    ]
    names = [table.function for table in tables]
    assert names[0] == "capture_public_orders"
    assert len(set(names)) == len(tables)
    assert max(len(name.encode()) for name in names) <= 63
