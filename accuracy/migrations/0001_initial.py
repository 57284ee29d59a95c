"""The schema `accuracy` and its tables."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        # The project's own backend makes a schema before its first table; Django's does not.
        # Going back leaves the schema: others may have put something of theirs into it.
        migrations.RunSQL(
            'CREATE SCHEMA IF NOT EXISTS "accuracy"', migrations.RunSQL.noop, elidable=False
        ),
        migrations.CreateModel(
            name="LearningObjective",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("objective_text", models.TextField()),
                ("target_score", models.FloatField()),
                ("current_score", models.FloatField(db_default=0.0, null=True)),
                ("status", models.TextField(db_default="active")),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                (
                    "updated_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                ("achieved_at", models.DateTimeField(null=True)),
                (
                    "metadata",
                    models.JSONField(db_default=models.Value({}, models.JSONField()), null=True),
                ),
                ("legacy_extra", models.JSONField(editable=False, null=True)),
            ],
            options={
                "db_table": '"accuracy"."learning_objectives"',
            },
        ),
        migrations.CreateModel(
            name="PerformanceTrend",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("metric_name", models.TextField()),
                ("metric_value", models.FloatField()),
                (
                    "measured_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "metadata",
                    models.JSONField(db_default=models.Value({}, models.JSONField()), null=True),
                ),
                ("context", models.TextField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                ("legacy_extra", models.JSONField(editable=False, null=True)),
            ],
            options={
                "db_table": '"accuracy"."performance_trends"',
            },
        ),
        migrations.CreateModel(
            name="AccuracyScore",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("question", models.TextField()),
                ("expected_answer", models.TextField(null=True)),
                ("actual_answer", models.TextField()),
                ("accuracy_score", models.FloatField()),
                ("scoring_method", models.TextField()),
                ("context_used", models.TextField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                (
                    "metadata",
                    models.JSONField(db_default=models.Value({}, models.JSONField()), null=True),
                ),
                ("legacy_extra", models.JSONField(editable=False, null=True)),
            ],
            options={
                "db_table": '"accuracy"."accuracy_scores"',
                "indexes": [
                    models.Index(fields=["created_at"], name="idx_accuracy_scores_created_at")
                ],
            },
        ),
    ]
