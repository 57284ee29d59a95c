"""An app whose label the engine's pages have in the project that the engine was made for."""

from django.db import models


class Page(models.Model):
    title = models.CharField(max_length=20)
