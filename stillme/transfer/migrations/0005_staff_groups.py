"""Where the staff groups were made; `console.groups` makes them after all migrations now.

It depended on the migrations of accounts, which a project may install later, or never.
"""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("transfer", "0004_write_mark_xmin")]

    operations = []
