"""The schema `continuum` and its tables."""

import django.contrib.postgres.indexes
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        # The project's own backend makes a schema before its first table; Django's does not.
        # Going back leaves the schema: others may have put something of theirs into it.
        migrations.RunSQL(
            'CREATE SCHEMA IF NOT EXISTS "continuum"', migrations.RunSQL.noop, elidable=False
        ),
        migrations.CreateModel(
            name="ForgettingMetric",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("tier", models.TextField(null=True)),
                ("forgotten_count", models.IntegerField(db_default=0, null=True)),
                ("total_count", models.IntegerField(db_default=0, null=True)),
                ("forgetting_rate", models.FloatField(db_default=0.0, null=True)),
                (
                    "measured_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("regression_item_id", models.TextField()),
                ("regression_query", models.TextField()),
                ("recall_at_k_before", models.FloatField(null=True)),
                ("recall_at_k_after", models.FloatField(null=True)),
                ("forgetting_delta", models.FloatField(null=True)),
                ("faithfulness_score", models.FloatField(null=True)),
                ("overlap_score", models.FloatField(null=True)),
                ("knowledge_update_timestamp", models.DateTimeField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                ("legacy_extra", models.JSONField(editable=False, null=True)),
            ],
            options={
                "db_table": '"continuum"."forgetting_metrics"',
                "indexes": [
                    models.Index(fields=["measured_at"], name="idx_forgetting_measured_at")
                ],
            },
        ),
        migrations.CreateModel(
            name="TierAudit",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("item_id", models.TextField()),
                ("from_tier", models.TextField(null=True)),
                ("to_tier", models.TextField()),
                ("reason", models.TextField()),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                ("surprise_score", models.FloatField(null=True)),
                ("retrieval_count_7d", models.IntegerField(null=True)),
                ("validator_overlap", models.FloatField(null=True)),
                ("performed_by", models.TextField(db_default="system", null=True)),
                ("legacy_extra", models.JSONField(editable=False, null=True)),
            ],
            options={
                "db_table": '"continuum"."tier_audit"',
                "indexes": [
                    django.contrib.postgres.indexes.HashIndex(
                        fields=["item_id"], name="idx_tier_audit_item_id"
                    ),
                    models.Index(
                        models.OrderBy(models.F("created_at"), descending=True, nulls_last=True),
                        models.OrderBy(models.F("id"), descending=True),
                        name="idx_tier_audit_created_at",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TierMetric",
            fields=[
                ("item_id", models.TextField(primary_key=True, serialize=False)),
                (
                    "tier",
                    models.TextField(
                        choices=[("L0", "L0"), ("L1", "L1"), ("L2", "L2"), ("L3", "L3")]
                    ),
                ),
                ("surprise_score", models.FloatField(db_default=0.0, null=True)),
                ("access_count", models.IntegerField(db_default=0, null=True)),
                (
                    "last_accessed",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
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
                ("retrieval_count_7d", models.IntegerField(db_default=0, null=True)),
                ("retrieval_count_30d", models.IntegerField(db_default=0, null=True)),
                ("validator_overlap", models.FloatField(db_default=0.0, null=True)),
                ("last_promoted_at", models.DateTimeField(null=True)),
                ("last_demoted_at", models.DateTimeField(null=True)),
                ("last_update_cycle", models.IntegerField(db_default=0, null=True)),
                (
                    "updated_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                ("legacy_extra", models.JSONField(editable=False, null=True)),
            ],
            options={
                "db_table": '"continuum"."tier_metrics"',
                "indexes": [models.Index(fields=["tier"], name="idx_continuum_tier_metrics_tier")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("tier__in", ("L0", "L1", "L2", "L3"))),
                        name="tier_metrics_tier_check",
                    )
                ],
            },
        ),
    ]
