"""The schema `rss` and its tables."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        # The project's own backend makes a schema before its first table; Django's does not.
        # Going back leaves the schema: others may have put something of theirs into it.
        migrations.RunSQL(
            'CREATE SCHEMA IF NOT EXISTS "rss"', migrations.RunSQL.noop, elidable=False
        ),
        migrations.CreateModel(
            name="FetchCycle",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("cycle_number", models.IntegerField()),
                ("started_at", models.DateTimeField()),
                ("completed_at", models.DateTimeField(null=True)),
                ("status", models.TextField(default="unfinished")),
                ("items_fetched", models.IntegerField(db_default=0, null=True)),
                ("items_added", models.IntegerField(db_default=0, null=True)),
                ("error_message", models.TextField(null=True)),
                ("items_filtered", models.IntegerField(db_default=0, null=True)),
                ("items_duplicate", models.IntegerField(db_default=0, null=True)),
                ("items_low_score", models.IntegerField(db_default=0, null=True)),
                ("items_ethical_filtered", models.IntegerField(db_default=0, null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                ("legacy_extra", models.JSONField(editable=False, null=True)),
            ],
            options={
                "db_table": '"rss"."fetch_cycles"',
                "indexes": [
                    models.Index(fields=["status"], name="idx_rss_fetch_cycles_status"),
                    models.Index(fields=["cycle_number"], name="idx_rss_fetch_cycles_cycle_number"),
                    models.Index(fields=["completed_at"], name="idx_rss_fetch_cycles_completed_at"),
                    models.Index(fields=["started_at"], name="idx_rss_fetch_cycles_started_at"),
                ],
            },
        ),
        migrations.CreateModel(
            name="FetchItem",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("feed_url", models.TextField()),
                ("item_title", models.TextField()),
                ("item_link", models.TextField(null=True)),
                ("item_published", models.DateTimeField(null=True)),
                ("status", models.TextField()),
                ("error_message", models.TextField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                ("summary", models.TextField(null=True)),
                ("fetch_timestamp", models.DateTimeField()),
                ("status_reason", models.TextField(null=True)),
                ("vector_id", models.TextField(null=True)),
                ("added_to_rag_at", models.DateTimeField(null=True)),
                ("legacy_extra", models.JSONField(editable=False, null=True)),
                (
                    "cycle",
                    models.ForeignKey(
                        db_column="cycle_id",
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="items",
                        to="rss.fetchcycle",
                    ),
                ),
            ],
            options={
                "db_table": '"rss"."fetch_items"',
                "indexes": [
                    models.Index(
                        fields=["cycle", "-fetch_timestamp", "id"],
                        name="idx_rss_fetch_items_cycle_id",
                    ),
                    models.Index(
                        models.OrderBy(
                            models.F("added_to_rag_at"), descending=True, nulls_last=True
                        ),
                        models.OrderBy(models.F("fetch_timestamp"), descending=True),
                        models.OrderBy(models.F("id")),
                        condition=models.Q(("status", "Added to RAG")),
                        name="idx_rss_fetch_items_added",
                    ),
                    models.Index(
                        fields=["-fetch_timestamp", "-id"], name="idx_rss_fetch_items_fetched"
                    ),
                ],
            },
        ),
    ]
