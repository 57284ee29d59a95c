"""The schema `transfer`: ledger, quarantine, states."""

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        # The project's own backend makes a schema before its first table; Django's does not.
        migrations.RunSQL('CREATE SCHEMA IF NOT EXISTS "transfer"', migrations.RunSQL.noop),
        migrations.CreateModel(
            name="FileState",
            fields=[
                ("file", models.TextField(primary_key=True, serialize=False)),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("absent", "Absent"),
                            ("captured", "Captured"),
                            ("loaded", "Loaded"),
                            ("following", "Following"),
                            ("live", "Live"),
                            ("rolled back", "Rolled Back"),
                        ],
                        default="absent",
                    ),
                ),
                ("position", models.BigIntegerField(default=0)),
                ("details", models.JSONField(default=dict)),
                (
                    "changed_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "db_table": '"transfer"."file_state"',
            },
        ),
        migrations.CreateModel(
            name="Run",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("command", models.TextField()),
                (
                    "status",
                    models.TextField(
                        choices=[
                            ("running", "Running"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                        ],
                        default="running",
                    ),
                ),
                (
                    "started_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("finished_at", models.DateTimeField(null=True)),
                ("options", models.JSONField(default=dict)),
                ("versions", models.JSONField(default=dict)),
                ("summary", models.JSONField(default=dict)),
                ("message", models.TextField(default="")),
            ],
            options={
                "db_table": '"transfer"."run"',
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="Proof",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("level", models.TextField()),
                ("verdict", models.TextField()),
                ("exit_status", models.IntegerField()),
                ("findings", models.BigIntegerField()),
                ("report", models.JSONField(default=dict)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="proof",
                        to="transfer.run",
                    ),
                ),
            ],
            options={
                "db_table": '"transfer"."proof"',
            },
        ),
        migrations.CreateModel(
            name="WriteMark",
            fields=[
                ("xid", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "run",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, to="transfer.run"
                    ),
                ),
            ],
            options={
                "db_table": '"transfer"."write_mark"',
            },
        ),
        migrations.CreateModel(
            name="QuarantinedRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file", models.TextField()),
                ("table", models.TextField()),
                ("key", models.TextField(null=True)),
                ("rowid", models.BigIntegerField(null=True)),
                ("cells", models.JSONField()),
                ("reason", models.TextField(db_index=True)),
                ("column", models.TextField(default="")),
                ("sentence", models.TextField()),
                (
                    "status",
                    models.TextField(
                        choices=[
                            ("open", "Open"),
                            ("repaired", "Repaired"),
                            ("accepted", "Accepted"),
                        ],
                        db_index=True,
                        default="open",
                    ),
                ),
                ("repairs", models.JSONField(default=dict)),
                ("note", models.TextField(default="")),
                ("decided_by", models.TextField(default="")),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "run",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="quarantined",
                        to="transfer.run",
                    ),
                ),
            ],
            options={
                "db_table": '"transfer"."quarantined_row"',
                "indexes": [
                    django.contrib.postgres.indexes.HashIndex(
                        fields=["key"], name="quarantined_row_key"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="KeptCell",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("table", models.TextField()),
                ("key", models.TextField()),
                ("column", models.TextField()),
                ("storage", models.TextField()),
                ("value", models.BinaryField(null=True)),
                ("reason", models.TextField()),
                (
                    "run",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="kept_cells",
                        to="transfer.run",
                    ),
                ),
            ],
            options={
                "db_table": '"transfer"."kept_cell"',
                "constraints": [
                    models.UniqueConstraint(
                        models.F("table"),
                        django.db.models.functions.text.MD5("key"),
                        models.F("column"),
                        name="kept_cell_once",
                    )
                ],
                "indexes": [
                    django.contrib.postgres.indexes.HashIndex(fields=["key"], name="kept_cell_key")
                ],
            },
        ),
        migrations.CreateModel(
            name="DroppedObject",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("relation", models.TextField()),
                ("name", models.TextField()),
                ("is_constraint", models.BooleanField()),
                ("definition", models.TextField()),
                (
                    "run",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, to="transfer.run"
                    ),
                ),
            ],
            options={
                "db_table": '"transfer"."dropped_object"',
                "constraints": [
                    models.UniqueConstraint(fields=("relation", "name"), name="dropped_object_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Chunk",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file", models.TextField()),
                ("table", models.TextField()),
                ("number", models.IntegerField()),
                ("after", models.JSONField(null=True)),
                ("upto", models.JSONField(null=True)),
                ("mapping_digest", models.TextField()),
                ("file_sha256", models.TextField()),
                ("legacy_rows", models.BigIntegerField()),
                ("loaded", models.BigIntegerField()),
                ("repaired", models.BigIntegerField()),
                ("quarantined", models.BigIntegerField()),
                ("digest", models.TextField()),
                ("xid", models.BigIntegerField()),
                (
                    "written_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="transfer.run",
                    ),
                ),
            ],
            options={
                "db_table": '"transfer"."chunk"',
                "constraints": [
                    models.UniqueConstraint(fields=("table", "number"), name="chunk_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="RunFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file", models.TextField()),
                ("path", models.TextField()),
                ("sha256", models.TextField()),
                ("size", models.BigIntegerField()),
                ("schema_digest", models.TextField()),
                ("clock", models.JSONField(default=dict)),
                ("drift", models.JSONField(default=list)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="files",
                        to="transfer.run",
                    ),
                ),
            ],
            options={
                "db_table": '"transfer"."run_file"',
                "constraints": [
                    models.UniqueConstraint(fields=("run", "file"), name="run_file_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="RunTable",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file", models.TextField()),
                ("table", models.TextField()),
                ("target", models.TextField()),
                ("legacy_rows", models.BigIntegerField(default=0)),
                ("loaded", models.BigIntegerField(default=0)),
                ("repaired", models.BigIntegerField(default=0)),
                ("quarantined", models.BigIntegerField(default=0)),
                ("inserted", models.BigIntegerField(default=0)),
                ("updated", models.BigIntegerField(default=0)),
                ("vanished", models.BigIntegerField(default=0)),
                ("pruned", models.BigIntegerField(default=0)),
                ("conflicts", models.BigIntegerField(default=0)),
                ("seconds", models.FloatField(default=0)),
                ("digest", models.TextField(default="")),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tables",
                        to="transfer.run",
                    ),
                ),
            ],
            options={
                "db_table": '"transfer"."run_table"',
                "constraints": [
                    models.UniqueConstraint(fields=("run", "table"), name="run_table_once")
                ],
            },
        ),
    ]
