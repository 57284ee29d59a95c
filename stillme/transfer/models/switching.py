"""Models of the way there and back: what PostgreSQL received, what the files could not take, what
was left behind on purpose."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from stillme.transfer.models.ledger import OfTable, Record


class ReverseChange(Record):
    """A write to a target table since the cut-over, by key; triggers write it.

    `key` is NULL for a TRUNCATE: every row of the table may have changed.
    """

    sequence = models.BigAutoField(primary_key=True)
    relation = models.TextField()
    key = models.TextField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = '"transfer"."reverse_change"'
        indexes = [models.Index(fields=["relation", "key"], name="reverse_change_key")]


class CarriedCell(OfTable):
    """A target value that a rollback could not write into the legacy file as it was.

    `value` is PostgreSQL's text of it. Nothing is dropped: it stays here.
    """

    run = models.ForeignKey(
        "transfer.Run", models.SET_NULL, null=True, related_name="carried_cells"
    )
    key = models.TextField()
    column = models.TextField()
    value = models.TextField()
    reason = models.TextField()

    class Meta:
        db_table = '"transfer"."carried_cell"'
        indexes = [models.Index(fields=["file", "table", "key"], name="carried_cell_key")]


class RangeDigest(OfTable):
    """The digest of a key range of a legacy table as the last sweep found it.

    `dirty` is set by a replay that touched the range: only where it is not set may a changed
    digest be blamed on a writer that bypassed capture.
    """

    number = models.IntegerField()
    after = models.JSONField(null=True)
    upto = models.JSONField(null=True)
    digest = models.TextField()
    rows = models.BigIntegerField()
    dirty = models.BooleanField(default=False)

    class Meta:
        db_table = '"transfer"."range_digest"'
        constraints = [
            models.UniqueConstraint(fields=["file", "table", "number"], name="range_digest_once")
        ]


class LagSample(Record):
    """How far the target was behind a file at one moment; the follower writes it, hours are kept.

    Plotted by the dashboard, so that a person sees whether the lag grows.
    """

    file = models.TextField()
    at = models.DateTimeField(db_default=Now())
    changes = models.BigIntegerField()
    seconds = models.FloatField()

    class Meta:
        db_table = '"transfer"."lag_sample"'
        indexes = [models.Index(fields=["at"], name="lag_sample_at")]


class LeftByDecision(Record):
    """Something in a legacy file or store that holds data and stays there: who decided so, and why.

    `name` is the table, file or folder as the inventory names it, `rows` what it held then.
    """

    file = models.TextField()
    name = models.TextField()
    rows = models.BigIntegerField(null=True)
    note = models.TextField()
    decided_by = models.TextField(default="")
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = '"transfer"."left_by_decision"'
        constraints = [
            models.UniqueConstraint(fields=["file", "name"], name="left_by_decision_once")
        ]


class Seal(Record):
    """A path of the legacy side as the cut-over left it.

    `mode` is the permission that a file or folder had before its write permission was taken, which
    a rollback gives back; NULL for a folder that is only looked at. `seen` is what was found then:
    device, inode, size, time; of a folder that is only looked at, the names of the databases in it.
    """

    path = models.TextField(primary_key=True)
    file = models.TextField()
    mode = models.IntegerField(null=True)
    seen = models.JSONField(default=dict)
    sealed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = '"transfer"."seal"'
