"""A field class that nobody else knows: euros, stored as cents."""

from decimal import Decimal

from django.db import models


class CentsField(models.Field):
    def db_type(self, connection):
        return "bigint"

    def from_db_value(self, value, expression, connection):
        return None if value is None else Decimal(value) / 100

    def get_prep_value(self, value):
        return None if value is None else int(Decimal(value) * 100)
