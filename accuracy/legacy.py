"""The legacy file `accuracy_scores.db`: its declared schema and its mapping to the target."""

from __future__ import annotations

from stillme.transfer.kinds import Date, Json, Key, Real, Text, Timestamp
from stillme.transfer.legacy import Column, LegacyModel


class LegacyAccuracyScore(LegacyModel):
    """Table `accuracy_scores`."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    question = Column(Text(), "TEXT NOT NULL")
    expected_answer = Column(Text(), "TEXT")
    actual_answer = Column(Text(), "TEXT NOT NULL")
    accuracy_score = Column(Real(), "REAL NOT NULL")
    scoring_method = Column(Text(), "TEXT NOT NULL")
    context_used = Column(Text(), "TEXT")
    created_at = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")
    metadata = Column(Json(), "TEXT DEFAULT '{}'")

    class Meta(LegacyModel.Meta):
        db_table = "accuracy_scores"

    class Legacy:
        file = "accuracy"
        target = "accuracy.AccuracyScore"


class LegacyPerformanceTrend(LegacyModel):
    """Table `performance_trends`; the old application has no writer for it."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    metric_name = Column(Text(), "TEXT NOT NULL")
    metric_value = Column(Real(), "REAL NOT NULL")
    measurement_date = Column(Date(), "DATE NOT NULL", to="measured_at")
    context = Column(Text(), "TEXT")
    created_at = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")

    class Meta(LegacyModel.Meta):
        db_table = "performance_trends"

    class Legacy:
        file = "accuracy"
        target = "accuracy.PerformanceTrend"


class LegacyLearningObjective(LegacyModel):
    """Table `learning_objectives`."""

    id = Column(Key(), "INTEGER PRIMARY KEY AUTOINCREMENT")
    objective_name = Column(Text(), "TEXT NOT NULL", to="objective_text")
    target_accuracy = Column(Real(), "REAL NOT NULL", to="target_score")
    current_accuracy = Column(Real(), "REAL DEFAULT 0.0", to="current_score")
    status = Column(Text(), "TEXT DEFAULT 'active'")
    created_at = Column(Timestamp(), "TIMESTAMP DEFAULT CURRENT_TIMESTAMP")
    achieved_at = Column(Timestamp(), "TIMESTAMP")
    metadata = Column(Json(), "TEXT DEFAULT '{}'")

    class Meta(LegacyModel.Meta):
        db_table = "learning_objectives"

    class Legacy:
        file = "accuracy"
        target = "accuracy.LearningObjective"
