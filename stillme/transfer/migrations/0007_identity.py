"""Records of a table are known by its file too: two files may have a table of the same name."""

from django.db import migrations, models
from django.db.models.functions import MD5

# What the ledger knows of the file of a table, the record of the very run first.
_OF_RUN = """
UPDATE transfer.{records} r SET file = t.file FROM transfer.run_table t
WHERE t.run_id = r.run_id AND t."table" = r."table"
"""
_OF_TABLE = """
UPDATE transfer.{records} r SET file = known.file FROM (
    SELECT DISTINCT ON ("table") "table", file FROM (
        SELECT "table", file, run_id FROM transfer.chunk
        UNION ALL SELECT "table", file, run_id FROM transfer.run_table
        UNION ALL SELECT "table", file, coalesce(run_id, 0) FROM transfer.quarantined_row
    ) seen ORDER BY "table", run_id DESC
) known WHERE r.file = '' AND known."table" = r."table"
"""
_DECLARED = """
UPDATE transfer.{records} SET file = %s WHERE file = '' AND "table" LIKE %s
"""


def _drop_index(name):
    """Django's own backend looks for an index of another schema in vain, and says nothing."""
    return migrations.RunSQL(f"DROP INDEX IF EXISTS transfer.{name}", migrations.RunSQL.noop)


def fill(apps, schema_editor):
    """Give every record its file; one that nothing knows keeps '' and is not lost."""
    from stillme.transfer.inventory.stores import stores
    from stillme.transfer.registry import registered

    declared = [model.identity() for model in registered()]
    names = [name.table for name in declared]
    patterns = [(file, table) for file, table in declared if names.count(table) == 1]
    patterns += [(store.name, f"{store.name}_db%") for store in stores()]
    with schema_editor.connection.cursor() as cursor:
        for records in ("kept_cell", "shared_range"):
            cursor.execute(_OF_RUN.format(records=records))
            cursor.execute(_OF_TABLE.format(records=records))
            for file, pattern in patterns:
                cursor.execute(_DECLARED.format(records=records), [file, _escaped(pattern)])


def _escaped(pattern):
    """The underscore of a name is no wildcard."""
    return pattern.replace("_", r"\_")


class Migration(migrations.Migration):
    dependencies = [("transfer", "0006_shared_range")]

    operations = [
        # What tells the file of another installation (steps/loading/history.py).
        migrations.AddField("runfile", "history", models.JSONField(default=dict)),
        migrations.AddField(
            "keptcell", "file", models.TextField(default=""), preserve_default=False
        ),
        migrations.AddField(
            "sharedrange", "file", models.TextField(default=""), preserve_default=False
        ),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.RemoveConstraint("keptcell", "kept_cell_once"),
        _drop_index("kept_cell_once"),
        migrations.AddConstraint(
            "keptcell",
            models.UniqueConstraint("file", "table", MD5("key"), "column", name="kept_cell_once"),
        ),
        migrations.RemoveConstraint("sharedrange", "shared_range_once"),
        migrations.AddConstraint(
            "sharedrange",
            models.UniqueConstraint(
                fields=["run", "file", "table", "number"], name="shared_range_once"
            ),
        ),
        migrations.RemoveConstraint("chunk", "chunk_once"),
        migrations.AddConstraint(
            "chunk",
            models.UniqueConstraint(fields=["file", "table", "number"], name="chunk_once"),
        ),
        migrations.RemoveConstraint("runtable", "run_table_once"),
        migrations.AddConstraint(
            "runtable",
            models.UniqueConstraint(fields=["run", "file", "table"], name="run_table_once"),
        ),
        migrations.RemoveConstraint("rangedigest", "range_digest_once"),
        migrations.AddConstraint(
            "rangedigest",
            models.UniqueConstraint(fields=["file", "table", "number"], name="range_digest_once"),
        ),
        migrations.RemoveIndex("carriedcell", "carried_cell_key"),
        _drop_index("carried_cell_key"),
        migrations.AddIndex(
            "carriedcell", models.Index(fields=["file", "table", "key"], name="carried_cell_key")
        ),
    ]
