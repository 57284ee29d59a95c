"""The staff groups viewer, operator and administrator."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from stillme.transfer.console.groups import make_groups


def _make(apps: Any, schema_editor: Any) -> None:
    make_groups(apps, schema_editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [
        ("transfer", "0004_write_mark_xmin"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    # Backwards nothing is taken away: people may be in the groups.
    operations = [migrations.RunPython(_make, migrations.RunPython.noop)]
