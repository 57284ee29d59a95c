"""The staff groups that `migrate` makes; the setting TRANSFER says which, and what each may do."""

from __future__ import annotations

from typing import Any

from django.apps import apps as real_apps
from django.contrib.auth.management import create_permissions
from django.contrib.contenttypes.management import create_contenttypes

from stillme.transfer.conf import CORRECT, DECIDE, VIEW, conf
from stillme.transfer.registry import legacy_models, registered

ENGINE = "transfer"
# To decide about quarantined rows, and to start commands from the console.
DECIDES = ("change_quarantinedrow", "add_startedcommand")


def make_after_migrations(apps: Any, using: str, plan: Any = (), **_: Any) -> None:
    """Make the groups when the tables of the engine, or those of accounts, have just been made.

    Not at each `migrate`: somebody may have deleted a group.
    """
    made = {(migration.app_label, migration.name) for migration, backwards in plan if not backwards}
    if made & {("transfer", "0005_staff_groups"), ("auth", "0001_initial")}:
        make_groups(apps, using)


def make_groups(apps: Any, alias: str) -> None:
    """Make the groups that are missing, with what each may do; a group that is there stays.

    By default a viewer may look at everything; an operator may decide about quarantined rows and
    start commands as well; an administrator may correct target rows, too. Permissions of an app
    may come after this otherwise, so they are made here. None are made where the file's own groups
    are carried: their ids are the file's.
    """
    if "auth.Group" in {model.legacy.target for model in registered()}:
        return
    targets = target_apps()
    for label in (*targets, ENGINE):
        config = real_apps.get_app_config(label)
        create_contenttypes(config, verbosity=0, interactive=False, using=alias)
        create_permissions(config, verbosity=0, interactive=False, using=alias)
    permissions = apps.get_model("auth", "Permission").objects.using(alias)
    of_targets = permissions.filter(content_type__app_label__in=targets)
    of_engine = permissions.filter(content_type__app_label=ENGINE)
    allowed = {
        VIEW: list((of_targets | of_engine).filter(codename__startswith="view_")),
        DECIDE: list(of_engine.filter(codename__in=DECIDES)),
        CORRECT: list(of_targets.filter(codename__startswith="change_")),
    }
    groups = apps.get_model("auth", "Group").objects.using(alias)
    for name, rights in conf().groups.items():
        group, created = groups.get_or_create(name=name)
        if created:
            group.permissions.set([p for right in rights for p in allowed[right]])


def target_apps() -> tuple[str, ...]:
    """The labels of the apps whose tables are targets: as set, else those of the legacy models."""
    given = conf().apps
    if given is not None:
        return given
    return tuple(dict.fromkeys(model.target_model()._meta.app_label for model in legacy_models()))
