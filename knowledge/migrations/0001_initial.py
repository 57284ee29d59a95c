"""The schema `knowledge` and its tables."""

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
            'CREATE SCHEMA IF NOT EXISTS "knowledge"', migrations.RunSQL.noop, elidable=False
        ),
        migrations.CreateModel(
            name="KnowledgeItem",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("content", models.TextField()),
                ("source", models.TextField()),
                ("knowledge_type", models.TextField()),
                ("confidence_score", models.FloatField(db_default=0.0, null=True)),
                ("retention_score", models.FloatField(db_default=0.0, null=True)),
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
                ("legacy_extra", models.JSONField(editable=False, null=True)),
            ],
            options={
                "db_table": '"knowledge"."knowledge_items"',
                "indexes": [
                    models.Index(fields=["created_at"], name="idx_knowledge_items_created_at"),
                    models.Index(
                        models.OrderBy(models.F("retention_score"), descending=True),
                        models.OrderBy(models.F("access_count"), descending=True, nulls_last=True),
                        models.OrderBy(models.F("id")),
                        name="idx_knowledge_items_retention_score",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="KnowledgeRelationship",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("relationship_type", models.TextField()),
                ("strength", models.FloatField(db_default=0.0, null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                ("legacy_extra", models.JSONField(editable=False, null=True)),
                (
                    "source",
                    models.ForeignKey(
                        db_column="source_id",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outgoing",
                        to="knowledge.knowledgeitem",
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        db_column="target_id",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="incoming",
                        to="knowledge.knowledgeitem",
                    ),
                ),
            ],
            options={
                "db_table": '"knowledge"."knowledge_relationships"',
            },
        ),
        migrations.CreateModel(
            name="LearningSession",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("session_type", models.TextField()),
                ("content_learned", models.TextField()),
                ("accuracy_score", models.FloatField(db_default=0.0, null=True)),
                ("retention_improvement", models.FloatField(db_default=0.0, null=True)),
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
                "db_table": '"knowledge"."learning_sessions"',
                "indexes": [
                    models.Index(
                        fields=["created_at"],
                        include=("accuracy_score",),
                        name="idx_learning_sessions_created_at",
                    )
                ],
            },
        ),
    ]
