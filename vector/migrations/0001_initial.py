"""The schema `vector` and its tables."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import vector.fields
from stillme.postgresql.distributed import forget, is_distributed

ITEMS = '"vector"."items"'


def keep_embeddings_apart(apps, schema_editor):
    """For speed only, so left out in a schema that Citus made distributed: it refuses this there."""
    forget()
    if not is_distributed(schema_editor.connection, ITEMS):
        schema_editor.execute(
            f"ALTER TABLE {ITEMS} ALTER COLUMN embedding SET STORAGE EXTERNAL, "
            "ALTER COLUMN embedding SET STATISTICS 0"
        )


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        # The project's own backend makes a schema before its first table; Django's does not.
        # Going back leaves the schema: others may have put something of theirs into it.
        migrations.RunSQL(
            'CREATE SCHEMA IF NOT EXISTS "vector"', migrations.RunSQL.noop, elidable=False
        ),
        migrations.CreateModel(
            name="Collection",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("uuid", models.UUIDField(default=uuid.uuid4, unique=True)),
                ("name", models.TextField()),
                ("tenant", models.TextField(db_default="default_tenant", default="default_tenant")),
                (
                    "database",
                    models.TextField(db_default="default_database", default="default_database"),
                ),
                ("dimension", models.IntegerField(blank=True, null=True)),
                (
                    "metric",
                    models.TextField(
                        choices=[
                            ("l2", "squared Euclidean"),
                            ("cosine", "cosine"),
                            ("ip", "inner product"),
                        ],
                        db_default="l2",
                        default="l2",
                    ),
                ),
                (
                    "metadata",
                    models.JSONField(
                        db_default=models.Value({}, models.JSONField()),
                        default=dict,
                        encoder=vector.fields.MetadataEncoder,
                    ),
                ),
                ("configuration", models.TextField(blank=True, null=True)),
                ("schema", models.TextField(blank=True, null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
            ],
            options={
                "db_table": '"vector"."collections"',
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "database", "name"), name="collections_name_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("metric__in", ["l2", "cosine", "ip"])),
                        name="collections_metric",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Item",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("embedding_id", models.TextField()),
                ("document", models.TextField(blank=True, null=True)),
                (
                    "metadata",
                    models.JSONField(
                        db_default=models.Value({}, models.JSONField()),
                        default=dict,
                        encoder=vector.fields.MetadataEncoder,
                    ),
                ),
                ("embedding", vector.fields.EmbeddingField(size=None)),
                (
                    "origin",
                    models.TextField(
                        choices=[
                            ("queue", "queue (exact)"),
                            ("segment_l2", "l2 segment (exact)"),
                            ("segment_ip", "inner product segment (exact)"),
                            ("segment_cosine", "cosine segment (within 1e-6)"),
                            ("target", "written here"),
                        ],
                        db_default="target",
                        default="target",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), null=True
                    ),
                ),
                ("legacy_seq_id", models.BigIntegerField(blank=True, null=True)),
                (
                    "collection",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="vector.collection",
                    ),
                ),
            ],
            options={
                "db_table": '"vector"."items"',
                "constraints": [
                    models.UniqueConstraint(
                        fields=("collection", "embedding_id"), name="items_id_once"
                    )
                ],
            },
        ),
        # Floats do not compress, so PostgreSQL need not try with each long row; and the commonest
        # floats are of no use to the planner, while finding them made ANALYZE of 100,000 rows
        # take 5.2 s.
        migrations.RunPython(keep_embeddings_apart, migrations.RunPython.noop),
    ]
