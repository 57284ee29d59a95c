"""Legacy models read their own file, everything else lives on `default`."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from stillme.transfer.conf import conf
from stillme.transfer.errors import LegacyReadOnly
from stillme.transfer.legacy import LegacyModel, refusal


def legacy_alias(model: type[Model]) -> str | None:
    """The database alias of a legacy model's file, None for any other model."""
    if not issubclass(model, LegacyModel) or model._meta.abstract:
        return None
    return conf().files[model.legacy.file].alias


class LegacyRouter:
    """Reads of a LegacyModel go to its file; writes, relations and migrations are refused."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """The file's alias for legacy models, no opinion otherwise."""
        return legacy_alias(model)

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        """Raises LegacyReadOnly for legacy models, no opinion otherwise."""
        if legacy_alias(model) is not None:
            raise LegacyReadOnly(refusal(model))
        return None

    def allow_relation(self, obj1: Model, obj2: Model, **hints: Any) -> bool | None:
        """A legacy row relates to nothing."""
        if legacy_alias(type(obj1)) or legacy_alias(type(obj2)):
            return False
        return None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Nothing is ever migrated on a legacy alias."""
        return False if db in {file.alias for file in conf().files.values()} else None
