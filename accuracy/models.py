"""Target models of the schema `accuracy`.

NOT NULL stands where the draft schema or the legacy declaration has it; a column that merely has
a default stays nullable, because a legacy NULL stays NULL.
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from stillme.services.model_parts import NamedIndex, empty_json


class AccuracyScore(models.Model):
    """One scored answer."""

    id = models.BigAutoField(primary_key=True)
    question = models.TextField()
    expected_answer = models.TextField(null=True)
    actual_answer = models.TextField()
    accuracy_score = models.FloatField()
    scoring_method = models.TextField()
    context_used = models.TextField(null=True)
    created_at = models.DateTimeField(null=True, db_default=Now())
    metadata = models.JSONField(null=True, db_default=empty_json())
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"accuracy"."accuracy_scores"'
        indexes = [NamedIndex(fields=["created_at"], name="idx_accuracy_scores_created_at")]

    def __str__(self) -> str:
        return f"{self.scoring_method} #{self.pk}: {self.accuracy_score}"


class PerformanceTrend(models.Model):
    """One measurement of a named metric; a legacy date is midnight UTC here."""

    id = models.BigAutoField(primary_key=True)
    metric_name = models.TextField()
    metric_value = models.FloatField()
    measured_at = models.DateTimeField(db_default=Now())
    metadata = models.JSONField(null=True, db_default=empty_json())
    context = models.TextField(null=True)
    created_at = models.DateTimeField(null=True, db_default=Now())
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"accuracy"."performance_trends"'
        # The admin's periods.
        indexes = [NamedIndex(fields=["measured_at"], name="idx_performance_trends_measured_at")]

    def __str__(self) -> str:
        return f"{self.metric_name} #{self.pk}: {self.metric_value}"


class LearningObjective(models.Model):
    """A score to be reached, and how far it is reached."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        ACHIEVED = "achieved"

    id = models.BigAutoField(primary_key=True)
    objective_text = models.TextField()
    target_score = models.FloatField()
    current_score = models.FloatField(null=True, db_default=0.0)
    status = models.TextField(db_default="active")
    created_at = models.DateTimeField(null=True, db_default=Now())
    updated_at = models.DateTimeField(null=True, db_default=Now())
    achieved_at = models.DateTimeField(null=True)
    metadata = models.JSONField(null=True, db_default=empty_json())
    legacy_extra = models.JSONField(null=True, editable=False)

    class Meta:
        db_table = '"accuracy"."learning_objectives"'
        # The admin's periods.
        indexes = [NamedIndex(fields=["created_at"], name="idx_learning_objectives_created_at")]

    def __str__(self) -> str:
        return f"{self.objective_text[:60]} (#{self.pk}), {self.status}"
