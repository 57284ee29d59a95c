"""Models with everything Django derives from a table's name."""

from __future__ import annotations

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=50, unique=True)
    email = models.TextField(default="", db_index=True)

    class Meta:
        app_label = "shelf"
        db_table = '"shelf_people"."author"'


class Tag(models.Model):
    word = models.TextField()

    class Meta:
        app_label = "shelf"
        db_table = "shelf_tag"


class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE)
    title = models.TextField()
    year = models.IntegerField(null=True)
    tags = models.ManyToManyField(Tag)

    class Meta:
        app_label = "shelf"
        db_table = '"shelf_books"."book"'
        indexes = [models.Index(fields=["title"], name="idx_book_title")]
        constraints = [
            models.UniqueConstraint(
                fields=["title"], condition=models.Q(year=None), name="one_undated_title"
            ),
            models.CheckConstraint(condition=models.Q(year__gt=0), name="year_is_positive"),
        ]
