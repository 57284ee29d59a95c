"""The legacy file `knowledge_retention.db`: its declared schema and its mapping to the target."""

from __future__ import annotations

from stillme.transfer.kinds import Integer, Json, Key, Real, Reference, Text, Timestamp
from stillme.transfer.legacy import Column, LegacyModel


class LegacyKnowledgeItem(LegacyModel):
    """Table `knowledge_items`."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    content = Column(Text(), "TEXT NOT NULL")
    source = Column(Text(), "TEXT NOT NULL")
    knowledge_type = Column(Text(), "TEXT NOT NULL")
    confidence_score = Column(Real(), "REAL DEFAULT 0.0")
    retention_score = Column(Real(), "REAL DEFAULT 0.0")
    access_count = Column(Integer(), "INTEGER DEFAULT 0")
    last_accessed = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")
    created_at = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")
    metadata = Column(Json(), "TEXT DEFAULT '{}'")

    class Meta(LegacyModel.Meta):
        db_table = "knowledge_items"

    class Legacy:
        file = "knowledge"
        target = "knowledge.KnowledgeItem"


class LegacyLearningSession(LegacyModel):
    """Table `learning_sessions`."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    session_type = Column(Text(), "TEXT NOT NULL")
    content_learned = Column(Text(), "TEXT NOT NULL")
    accuracy_score = Column(Real(), "REAL DEFAULT 0.0")
    retention_improvement = Column(Real(), "REAL DEFAULT 0.0")
    created_at = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")
    metadata = Column(Json(), "TEXT DEFAULT '{}'")

    class Meta(LegacyModel.Meta):
        db_table = "learning_sessions"

    class Legacy:
        file = "knowledge"
        target = "knowledge.LearningSession"


class LegacyKnowledgeRelationship(LegacyModel):
    """Table `knowledge_relationships`. Its foreign keys were never enforced: orphans are real."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    source_id = Column(Reference("knowledge_items"), "INTEGER NOT NULL")
    target_id = Column(Reference("knowledge_items"), "INTEGER NOT NULL")
    relationship_type = Column(Text(), "TEXT NOT NULL")
    strength = Column(Real(), "REAL DEFAULT 0.0")
    created_at = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")

    class Meta(LegacyModel.Meta):
        db_table = "knowledge_relationships"

    class Legacy:
        file = "knowledge"
        target = "knowledge.KnowledgeRelationship"
