"""Records of which a load may write millions cost the server half as much.

They no longer look their run up, and have fewer indexes. In SQL, because Django's own backend does
not find the constraints and indexes of a table in a schema.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import MD5, Cast

_RELATIONS = "('transfer.kept_cell'::regclass, 'transfer.quarantined_row'::regclass)"
LEAN = f"""
DO $$
DECLARE found record;
BEGIN
    FOR found IN
        SELECT conrelid::regclass AS relation, conname AS name FROM pg_constraint
        WHERE contype = 'f' AND conrelid IN {_RELATIONS}
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.relation, found.name);
    END LOOP;
    FOR found IN
        SELECT i.indexrelid::regclass AS name FROM pg_index AS i
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid IN {_RELATIONS} AND i.indnatts = 1
        AND a.attname IN ('run_id', 'reason', 'status')
    LOOP
        EXECUTE format('DROP INDEX %s', found.name);
    END LOOP;
END $$;
CREATE INDEX quarantined_row_reason ON transfer.quarantined_row (reason);
CREATE INDEX quarantined_row_status ON transfer.quarantined_row (status);
DROP INDEX IF EXISTS transfer.kept_cell_once;
CREATE UNIQUE INDEX kept_cell_once ON transfer.kept_cell (
    file, "table", (md5(key)::uuid), "column"
);
"""
AS_BEFORE = """
DROP INDEX transfer.kept_cell_once;
CREATE UNIQUE INDEX kept_cell_once ON transfer.kept_cell (file, "table", md5(key), "column");
ALTER TABLE transfer.kept_cell ADD CONSTRAINT kept_cell_run_id_fk
    FOREIGN KEY (run_id) REFERENCES transfer.run DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE transfer.quarantined_row ADD CONSTRAINT quarantined_row_run_id_fk
    FOREIGN KEY (run_id) REFERENCES transfer.run DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX kept_cell_run_id ON transfer.kept_cell (run_id);
CREATE INDEX quarantined_row_run_id ON transfer.quarantined_row (run_id);
"""


def _run(related_name):
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        null=True,
        on_delete=django.db.models.deletion.SET_NULL,
        related_name=related_name,
        to="transfer.run",
    )


class Migration(migrations.Migration):
    dependencies = [("transfer", "0015_no_unread_columns")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(LEAN, AS_BEFORE)],
            state_operations=[
                migrations.RemoveConstraint("keptcell", "kept_cell_once"),
                migrations.AlterField("keptcell", "run", _run("kept_cells")),
                migrations.AlterField("quarantinedrow", "reason", models.TextField()),
                migrations.AlterField("quarantinedrow", "run", _run("quarantined")),
                migrations.AlterField(
                    "quarantinedrow",
                    "status",
                    models.TextField(
                        choices=[
                            ("open", "Open"),
                            ("repaired", "Repaired"),
                            ("accepted", "Accepted"),
                        ],
                        default="open",
                    ),
                ),
                migrations.AddIndex(
                    "quarantinedrow",
                    models.Index(fields=["reason"], name="quarantined_row_reason"),
                ),
                migrations.AddIndex(
                    "quarantinedrow",
                    models.Index(fields=["status"], name="quarantined_row_status"),
                ),
                migrations.AddConstraint(
                    "keptcell",
                    models.UniqueConstraint(
                        "file",
                        "table",
                        Cast(MD5("key"), models.UUIDField()),
                        "column",
                        name="kept_cell_once",
                    ),
                ),
            ],
        )
    ]
