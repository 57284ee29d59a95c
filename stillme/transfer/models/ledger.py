"""The engine's own tables, in the schema `transfer`: the ledger, the quarantine, the states.

Each record is written in the transaction of the work it records (law 5).
"""

from __future__ import annotations

from django.contrib.postgres.indexes import HashIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import MD5, Cast, Mod, Now

from stillme.transfer.models.packed_cells import PackedCells


class Record(models.Model):
    """Whatever the engine keeps; a log shows its kind and its key."""

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.pk}"


class OfTable(Record):
    """A record about one legacy table: the file's short name, the declared name of the table."""

    file = models.TextField()
    table = models.TextField()

    class Meta:
        abstract = True


class Run(Record):
    """One call of a command that changes or proves something."""

    class Status(models.TextChoices):
        RUNNING = "running"
        COMPLETED = "completed"
        FAILED = "failed"

    command = models.TextField()
    status = models.TextField(choices=Status.choices, default=Status.RUNNING)
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    options = models.JSONField(default=dict)
    versions = models.JSONField(default=dict)
    summary = models.JSONField(default=dict)
    message = models.TextField(default="")

    class Meta:
        db_table = '"transfer"."run"'
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.command} #{self.pk}"


def run_of_many(related_name: str) -> models.ForeignKey[Run | None, Run | None]:
    """The run that wrote a record of which a load may write millions; nothing deletes runs.

    To look the run up for each record, and to keep an index of it that nothing asks, was 8 of the
    20 microseconds that the server took for a record.
    """
    return models.ForeignKey(
        Run,
        models.SET_NULL,
        null=True,
        related_name=related_name,
        db_constraint=False,
        db_index=False,
    )


class RunFile(Record):
    """A legacy file as one run saw it: digest, size, shape, and what was decided of its clock."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="files")
    file = models.TextField()
    path = models.TextField()
    sha256 = models.TextField()
    size = models.BigIntegerField()
    schema_digest = models.TextField()
    clock = models.JSONField(default=dict)
    history = models.JSONField(default=dict)

    class Meta:
        db_table = '"transfer"."run_file"'
        constraints = [models.UniqueConstraint(fields=["run", "file"], name="run_file_once")]


class RunTable(OfTable):
    """What became of one legacy table in one run: legacy = loaded + repaired + quarantined."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="tables")
    target = models.TextField()
    legacy_rows = models.BigIntegerField(default=0)
    loaded = models.BigIntegerField(default=0)
    repaired = models.BigIntegerField(default=0)
    quarantined = models.BigIntegerField(default=0)
    inserted = models.BigIntegerField(default=0)
    updated = models.BigIntegerField(default=0)
    vanished = models.BigIntegerField(default=0)
    pruned = models.BigIntegerField(default=0)
    conflicts = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)

    class Meta:
        db_table = '"transfer"."run_table"'
        constraints = [
            models.UniqueConstraint(fields=["run", "file", "table"], name="run_table_once")
        ]


class Chunk(OfTable):
    """A key range of a legacy table as it was last loaded.

    The chunks of a table partition its key space: chunk n covers ``after < key <= upto``, the
    first has no lower and the last no upper bound. `digest` is of the legacy rows, `xid` the
    PostgreSQL transaction that wrote the rows together with this record.
    """

    run = models.ForeignKey(Run, models.CASCADE, related_name="chunks")
    number = models.IntegerField()
    after = models.JSONField(null=True)
    upto = models.JSONField(null=True)
    mapping_digest = models.TextField()
    file_sha256 = models.TextField()
    legacy_rows = models.BigIntegerField()
    loaded = models.BigIntegerField()
    repaired = models.BigIntegerField()
    quarantined = models.BigIntegerField()
    digest = models.TextField()
    xid = models.BigIntegerField()
    written_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = '"transfer"."chunk"'
        constraints = [
            models.UniqueConstraint(fields=["file", "table", "number"], name="chunk_once")
        ]


class WriteMark(Record):
    """A PostgreSQL transaction in which the engine itself wrote target rows.

    A target row whose `xmin` is in no mark was changed by somebody else: a re-import refuses to
    overwrite it.
    """

    xid = models.BigIntegerField(primary_key=True)
    run = models.ForeignKey(Run, models.SET_NULL, null=True)

    class Meta:
        db_table = '"transfer"."write_mark"'
        # What a row's 32-bit xmin is compared with.
        indexes = [models.Index(Mod(F("xid"), 4294967296), name="write_mark_xmin")]


class QuarantinedRow(OfTable):
    """A legacy row that was set aside whole, with the reason.

    `cells` maps each legacy column to ``[storage class, value]``: integers as numbers, reals as
    ``float.hex()`` text, text and blobs as base64 of their bytes, NULL as null.
    """

    class Status(models.TextChoices):
        OPEN = "open"
        REPAIRED = "repaired"
        ACCEPTED = "accepted"

    run = run_of_many("quarantined")
    key = models.TextField(null=True)
    rowid = models.BigIntegerField(null=True)
    cells = PackedCells()
    reason = models.TextField()
    column = models.TextField(default="")
    sentence = models.TextField()
    status = models.TextField(choices=Status.choices, default=Status.OPEN)
    repairs = PackedCells(default=dict)
    note = models.TextField(default="")
    decided_by = models.TextField(default="")
    decided_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = '"transfer"."quarantined_row"'
        # A legacy text key may be longer than a btree entry can be.
        indexes = [
            HashIndex(fields=["key"], name="quarantined_row_key"),
            # Not `db_index`, which makes a second index, for LIKE.
            models.Index(fields=["reason"], name="quarantined_row_reason"),
            models.Index(fields=["status"], name="quarantined_row_status"),
            # Whether somebody decided since a proof began; a load writes no entry of it.
            models.Index(
                fields=["decided_at"],
                condition=Q(decided_at__isnull=False),
                name="quarantined_row_decided",
            ),
        ]

    def __str__(self) -> str:
        # A legacy key may be as long as a document, and this goes into a page's title.
        return f"{self.table} {(self.key or '')[:60]}: {self.reason}"


class KeptCell(OfTable):
    """The original of a repaired cell: its storage class and bytes, next to the loaded row."""

    run = run_of_many("kept_cells")
    key = models.TextField()
    column = models.TextField()
    storage = models.TextField()
    value = models.BinaryField(null=True)
    reason = models.TextField()

    class Meta:
        db_table = '"transfer"."kept_cell"'
        constraints = [
            # As a UUID the digest has 16 bytes, which compare in one go.
            models.UniqueConstraint(
                "file",
                "table",
                Cast(MD5("key"), models.UUIDField()),
                "column",
                name="kept_cell_once",
            )
        ]
        indexes = [HashIndex(fields=["key"], name="kept_cell_key")]


class DroppedObject(Record):
    """An index or constraint that the loader took down, with the definition that brings it back.

    Written in the transaction that drops it, deleted in the one that builds it again (law 9).
    """

    relation = models.TextField()
    name = models.TextField()
    is_constraint = models.BooleanField()
    definition = models.TextField()
    run = models.ForeignKey(Run, models.SET_NULL, null=True)

    class Meta:
        db_table = '"transfer"."dropped_object"'
        constraints = [
            models.UniqueConstraint(fields=["relation", "name"], name="dropped_object_once")
        ]


class FileState(Record):
    """Where a legacy file stands on its way (the state machine)."""

    class State(models.TextChoices):
        ABSENT = "absent"
        CAPTURED = "captured"
        LOADED = "loaded"
        FOLLOWING = "following"
        LIVE = "live"
        ROLLED_BACK = "rolled back"
        FINISHED = "finished"

    file = models.TextField(primary_key=True)
    state = models.TextField(choices=State.choices, default=State.ABSENT)
    position = models.BigIntegerField(default=0)
    details = models.JSONField(default=dict)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = '"transfer"."file_state"'


class Proof(Record):
    """The outcome of one verification."""

    run = models.OneToOneField(Run, models.CASCADE, related_name="proof")
    level = models.TextField()
    verdict = models.TextField()
    exit_status = models.IntegerField()
    findings = models.BigIntegerField()
    report = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = '"transfer"."proof"'

    def __str__(self) -> str:
        return f"{self.verdict} ({self.level}) in {self.run}"
