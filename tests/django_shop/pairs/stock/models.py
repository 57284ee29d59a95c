"""Tables whose key is several columns: numbers, texts, UUIDs, references; no migrations."""

import uuid

from django.db import models


class Order(models.Model):
    name = models.CharField(max_length=20)


class Product(models.Model):
    sku = models.CharField(max_length=12, primary_key=True)


class Line(models.Model):
    # Another order than that of the columns.
    pk = models.CompositePrimaryKey("product", "order_id")
    order = models.ForeignKey(Order, models.CASCADE)
    product = models.ForeignKey(Product, models.CASCADE)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    note = models.TextField(null=True)


class Seat(models.Model):
    hall = models.UUIDField(default=uuid.uuid4)
    row = models.CharField(max_length=8)
    number = models.IntegerField()
    pk = models.CompositePrimaryKey("hall", "row", "number")
    ticket = models.CharField(max_length=20, unique=True, null=True)
    sold = models.DateTimeField(null=True)
