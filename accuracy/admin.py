"""The admin of the schema `accuracy`."""

from __future__ import annotations

from django.contrib import admin

from accuracy.models import AccuracyScore, LearningObjective, PerformanceTrend
from stillme.pages.lists.frequent import FrequentValuesFilter
from stillme.pages.target_admin import TargetAdmin, excerpt


@admin.register(AccuracyScore)
class AccuracyScoreAdmin(TargetAdmin):
    """Scored answers, newest first."""

    question_start = excerpt("question")
    answer_start = excerpt("actual_answer")
    list_display = [
        "id",
        "question_start",
        "answer_start",
        "accuracy_score",
        "scoring_method",
        "created_at",
    ]
    list_filter = [("scoring_method", FrequentValuesFilter)]
    search_fields = ["question", "actual_answer", "=id"]
    date_hierarchy = "created_at"


@admin.register(PerformanceTrend)
class PerformanceTrendAdmin(TargetAdmin):
    """Measurements of named metrics."""

    list_display = ["id", "metric_name", "metric_value", "measured_at", "created_at"]
    list_filter = [("metric_name", FrequentValuesFilter)]
    search_fields = ["metric_name", "context"]
    date_hierarchy = "measured_at"


@admin.register(LearningObjective)
class LearningObjectiveAdmin(TargetAdmin):
    """Learning objectives and their progress."""

    objective_start = excerpt("objective_text")
    list_display = [
        "id",
        "objective_start",
        "status",
        "target_score",
        "current_score",
        "created_at",
        "achieved_at",
    ]
    list_filter = [("status", FrequentValuesFilter)]
    search_fields = ["objective_text", "=id"]
    date_hierarchy = "created_at"
