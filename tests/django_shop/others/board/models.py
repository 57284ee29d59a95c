"""Members with a UUID, and notes with tags, a history and permissions of their own."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from simple_history.models import HistoricalRecords
from taggit.managers import TaggableManager


class Member(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class Note(models.Model):
    title = models.CharField(max_length=100)
    author = models.ForeignKey(Member, models.CASCADE, null=True)
    due = models.DateTimeField(null=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    details = models.JSONField(default=dict)
    tags = TaggableManager()
    history = HistoricalRecords()
