"""The staff groups viewer, operator and administrator, in a project that has groups."""

from __future__ import annotations

from typing import Any

from django.apps import apps as installed
from django.db import migrations

from stillme.transfer.console.groups import make_groups

# A project without accounts has no groups, and the engine needs none.
HAS_GROUPS = installed.is_installed("django.contrib.auth")


def _make(apps: Any, schema_editor: Any) -> None:
    if HAS_GROUPS:
        make_groups(apps, schema_editor.connection.alias)


class Migration(migrations.Migration):
    dependencies = [("transfer", "0004_write_mark_xmin")]
    if HAS_GROUPS:
        dependencies += [
            ("auth", "0012_alter_user_first_name_max_length"),
            ("contenttypes", "0002_remove_content_type_name"),
        ]

    # Backwards nothing is taken away: people may be in the groups.
    operations = [migrations.RunPython(_make, migrations.RunPython.noop)]
