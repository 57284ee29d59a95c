"""Indexes that hold the rows of one parent in the order of their keys, for the admin."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("vector", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="item",
            index=models.Index(fields=["collection", "id"], name="idx_vector_items_collection"),
        ),
    ]
