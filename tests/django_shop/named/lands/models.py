"""Parents that are named by a text, a UUID and a number; the app has no migrations."""

import uuid

from django.db import models
from django.db.models import F


class Land(models.Model):
    code = models.CharField(max_length=2, unique=True)
    name = models.CharField(max_length=12)


class Town(models.Model):
    land = models.ForeignKey(Land, models.CASCADE, to_field="code")
    # The same parent by its key.
    also = models.ForeignKey(Land, models.CASCADE, null=True, related_name="+")
    name = models.CharField(max_length=12)


class Stamp(models.Model):
    token = models.UUIDField(unique=True, default=uuid.uuid4)


class Line(models.Model):
    number = models.IntegerField(unique=True)


class Letter(models.Model):
    stamp = models.ForeignKey(Stamp, models.CASCADE, to_field="token", null=True)
    line = models.ForeignKey(Line, models.CASCADE, to_field="number")
    town = models.ForeignKey(Town, models.CASCADE)
    # Names of tables that PostgreSQL can hold, and of what is made for them.
    seen_by_everybody_who_has_carried_it_so_far = models.ManyToManyField(Town, related_name="+")
    seen_by_everybody_who_has_carried_it_since = models.ManyToManyField(Town, related_name="+")


class Note(models.Model):
    """Columns of names that the engine has itself, and what PostgreSQL may refuse."""

    legacy = models.IntegerField(default=1)
    columns = models.IntegerField(default=2)
    legacy_columns = models.IntegerField(default=3)
    legacy_extra = models.JSONField(default=dict)
    # An index entry of PostgreSQL's takes 2,704 bytes.
    text = models.TextField(db_index=True)
    above = models.ForeignKey("self", models.CASCADE, null=True)
    # PostgreSQL adds two integers in 32 bits.
    sum = models.GeneratedField(
        expression=F("legacy") + F("columns"),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
