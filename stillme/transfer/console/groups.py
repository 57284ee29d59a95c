"""The staff groups: viewer, operator, administrator."""

from __future__ import annotations

from typing import Any

from django.apps import apps as real_apps
from django.contrib.auth.management import create_permissions
from django.contrib.contenttypes.management import create_contenttypes

DOMAINS = ("knowledge", "continuum", "rss", "accuracy", "vector")
ENGINE = "transfer"
DECIDES = "change_quarantinedrow"


def make_groups(apps: Any, alias: str) -> None:
    """Make the groups that are missing, with what each may do; a group that is there stays.

    A viewer may look at everything; an operator may decide about quarantined rows as well; an
    administrator may correct target rows, too. Permissions come after all migrations otherwise,
    so they are made here.
    """
    for label in (*DOMAINS, ENGINE):
        config = real_apps.get_app_config(label)
        create_contenttypes(config, verbosity=0, interactive=False, using=alias)
        create_permissions(config, verbosity=0, interactive=False, using=alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    ours = permissions.filter(content_type__app_label__in=(*DOMAINS, ENGINE))
    views = list(ours.filter(codename__startswith="view_"))
    decides = list(ours.filter(content_type__app_label=ENGINE, codename=DECIDES))
    corrects = list(
        permissions.filter(content_type__app_label__in=DOMAINS, codename__startswith="change_")
    )
    wanted = {
        "viewer": views,
        "operator": [*views, *decides],
        "administrator": [*views, *decides, *corrects],
    }
    for name, given in wanted.items():
        groups = apps.get_model("auth", "Group").objects.using(alias)
        group, created = groups.get_or_create(name=name)
        if created:
            group.permissions.set(given)
