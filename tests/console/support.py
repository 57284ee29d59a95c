"""What the console's tests share."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission

from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import pack_cell

HOSTILE = "<script>alert(1)</script>"


def staff(client: Any, users: Any, *codenames: str) -> Any:
    """Log a staff user in, who has these permissions."""
    user = users.objects.create_user("staff", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return user


def quarantined_row(**fields: Any) -> QuarantinedRow:
    """An open row with hostile text in it."""
    given = {
        "file": "rss",
        "table": "rss_fetch_cycles",
        "key": "1",
        "cells": {"id": ["integer", 1], "status": pack_cell("text", HOSTILE.encode())},
        "reason": "bad_time",
        "sentence": HOSTILE,
    }
    return QuarantinedRow.objects.create(**given | fields)
