"""What was started from the console, by whom, and what it said."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class StartedCommand(models.Model):
    """A command that an operator started. `running` is NULL once it has ended: one at a time."""

    command = models.TextField()
    # The account's name: the record outlives it.
    started_by = models.TextField()
    started_at = models.DateTimeField(db_default=Now())
    # The last sign of life of the process that runs the command.
    seen_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    running = models.BooleanField(null=True, default=True, unique=True)
    # None while it runs, and where its process was killed.
    exit_status = models.IntegerField(null=True)
    # The end of what it printed.
    output = models.TextField(default="")

    class Meta:
        db_table = '"transfer"."started_command"'

    def __str__(self) -> str:
        return f"{self.command} #{self.pk}"
