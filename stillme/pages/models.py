"""What a reader of the admin keeps: choices of filters, by name."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class SavedFilter(models.Model):
    """A list's filters, search and order, as a person wants to find them again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    # ``knowledge.knowledgeitem``
    list = models.TextField()
    name = models.TextField()
    query = models.TextField()

    class Meta:
        db_table = "pages_saved_filter"
        constraints = [
            models.UniqueConstraint(fields=["user", "list", "name"], name="saved_filter_once")
        ]

    def __str__(self) -> str:
        return self.name
