"""The legacy file `rss_fetch_history.db`: its declared schema and its mapping to the target."""

from __future__ import annotations

from stillme.transfer.kinds import (
    Integer,
    Key,
    Reference,
    Stamp,
    Text,
    Timestamp,
    Twin,
    WhenSet,
)
from stillme.transfer.legacy import Column, LegacyModel


class LegacyFetchCycle(LegacyModel):
    """Table `rss_fetch_cycles`. It has no status: whether the cycle was completed says so."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    cycle_number = Column(Integer(), "INTEGER NOT NULL")
    entries_fetched = Column(Integer(), "INTEGER DEFAULT 0", to="items_fetched")
    entries_added = Column(Integer(), "INTEGER DEFAULT 0", to="items_added")
    entries_filtered = Column(Integer(), "INTEGER DEFAULT 0", to="items_filtered")
    entries_duplicate = Column(Integer(), "INTEGER DEFAULT 0", to="items_duplicate")
    entries_low_score = Column(Integer(), "INTEGER DEFAULT 0", to="items_low_score")
    entries_ethical_filtered = Column(Integer(), "INTEGER DEFAULT 0", to="items_ethical_filtered")
    started_at = Column(Timestamp(Stamp.ISO), "TIMESTAMP NOT NULL")
    completed_at = Column(Timestamp(Stamp.ISO, after="started_at"), "TIMESTAMP")
    created_at = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")

    class Meta(LegacyModel.Meta):
        db_table = "rss_fetch_cycles"

    class Legacy:
        file = "rss"
        target = "rss.FetchCycle"
        clock = Twin("started_at", "created_at")
        derived = {"status": WhenSet("completed_at", "completed", "unfinished")}


class LegacyFetchItem(LegacyModel):
    """Table `rss_fetch_items`. It declares no foreign key, but `cycle_id` names a cycle."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    cycle_id = Column(Reference("rss_fetch_cycles"), "INTEGER NOT NULL")
    title = Column(Text(), "TEXT NOT NULL", to="item_title")
    source_url = Column(Text(), "TEXT NOT NULL", to="feed_url")
    link = Column(Text(), "TEXT", to="item_link")
    summary = Column(Text(), "TEXT")
    fetch_timestamp = Column(Timestamp(Stamp.ISO), "TIMESTAMP NOT NULL")
    status = Column(Text(), "TEXT NOT NULL")
    status_reason = Column(Text(), "TEXT")
    vector_id = Column(Text(), "TEXT")
    added_to_rag_at = Column(Timestamp(Stamp.ISO), "TIMESTAMP")
    created_at = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")

    class Meta(LegacyModel.Meta):
        db_table = "rss_fetch_items"

    class Legacy:
        file = "rss"
        target = "rss.FetchItem"
        clock = Twin("fetch_timestamp", "created_at")
        indexes = {
            "idx_cycle_id": "cycle_id",
            "idx_status": "status",
            "idx_fetch_timestamp": "fetch_timestamp",
        }
