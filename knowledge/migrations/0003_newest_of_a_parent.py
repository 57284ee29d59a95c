"""Indexes that hold the rows of one parent in the order of their keys, for the admin."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("knowledge", "0002_periods"),
    ]

    operations = [
        migrations.AlterField(
            model_name="knowledgerelationship",
            name="source",
            field=models.ForeignKey(
                db_column="source_id",
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="outgoing",
                to="knowledge.knowledgeitem",
            ),
        ),
        migrations.AlterField(
            model_name="knowledgerelationship",
            name="target",
            field=models.ForeignKey(
                db_column="target_id",
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="incoming",
                to="knowledge.knowledgeitem",
            ),
        ),
        migrations.AddIndex(
            model_name="knowledgerelationship",
            index=models.Index(fields=["source", "id"], name="idx_relationships_source_id"),
        ),
        migrations.AddIndex(
            model_name="knowledgerelationship",
            index=models.Index(fields=["target", "id"], name="idx_relationships_target_id"),
        ),
    ]
