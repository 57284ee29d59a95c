"""Two columns that nothing reads."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("transfer", "0014_started_command")]

    operations = [
        migrations.RemoveField("runfile", "drift"),
        migrations.RemoveField("runtable", "digest"),
    ]
