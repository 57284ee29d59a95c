"""An index by time of trends and objectives, for the periods of the admin's lists."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accuracy", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="learningobjective",
            index=models.Index(fields=["created_at"], name="idx_learning_objectives_created_at"),
        ),
        migrations.AddIndex(
            model_name="performancetrend",
            index=models.Index(fields=["measured_at"], name="idx_performance_trends_measured_at"),
        ),
    ]
