"""Two tables: one keeps undeclared legacy columns, the other does not."""

from django.db import models


class Customer(models.Model):
    name = models.TextField()
    joined_at = models.DateTimeField(null=True)
    legacy_extra = models.JSONField(null=True, editable=False)


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.PROTECT)
    amount = models.FloatField(null=True)
    notes = models.JSONField(null=True)
