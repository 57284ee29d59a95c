import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("transfer", "0007_identity"),
    ]

    operations = [
        migrations.CreateModel(
            name="LeftByDecision",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file", models.TextField()),
                ("name", models.TextField()),
                ("rows", models.BigIntegerField(null=True)),
                ("note", models.TextField()),
                ("decided_by", models.TextField(default="")),
                (
                    "decided_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "db_table": '"transfer"."left_by_decision"',
                "constraints": [
                    models.UniqueConstraint(fields=("file", "name"), name="left_by_decision_once")
                ],
            },
        ),
    ]
