"""An index by time of relationships, for the periods of the admin's lists."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("knowledge", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="knowledgerelationship",
            index=models.Index(fields=["created_at"], name="idx_relationships_created_at"),
        ),
    ]
