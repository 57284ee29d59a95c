"""An index by time of tier metrics, for the periods of the admin's lists."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("continuum", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="tiermetric",
            index=models.Index(fields=["created_at"], name="idx_tier_metrics_created_at"),
        ),
    ]
