"""The records of a migration as a file: what is left of them when the schema `transfer` goes.

One JSON list of Django's serializer, `loaddata` reads it: quarantined rows, kept originals,
decisions, runs, proofs. They hold values of rows, so the file is its owner's alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.core import serializers
from django.db import connections, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model

from stillme.transfer.errors import TargetError
from stillme.transfer.plumbing.private_file import private_file
from stillme.transfer.postgresql.copy import execute, fetch_all
from stillme.transfer.postgresql.locks import exclusive


def archive_records(alias: str, path: Path) -> int:
    """Write all records to `path`, then drop their schema; the number of records.

    Nothing is dropped where a record was not written. Raises TransferError, OSError.
    """
    written = 0

    def records() -> Iterator[Model]:
        nonlocal written
        for model in _models():
            for record in model._default_manager.using(alias).order_by("pk").iterator(1000):
                written += 1
                yield record

    connection = connections[alias]
    with exclusive(alias), transaction.atomic(using=alias, durable=True):
        execute(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with private_file(path) as stream:
            serializers.serialize("json", records(), stream=stream)
        held = sum(_rows(alias, model) for model in _models())
        if written != held:
            raise TargetError(
                f"{path} has {written:,} of {held:,} records: nothing was dropped, run it again."
            )
        # Migrations backwards would rename and alter on the way to nothing.
        execute(connection, 'DROP SCHEMA "transfer" CASCADE')
        MigrationRecorder(connection).migration_qs.filter(app="transfer").delete()
    return written


def _models() -> list[type[Model]]:
    return list(apps.get_app_config("transfer").get_models())


def _rows(alias: str, model: type[Model]) -> int:
    query = f"SELECT count(*) FROM {model._meta.db_table}"
    return int(fetch_all(connections[alias], query)[0][0])
