"""Six tables: two by themselves, one of a many-to-many field, three that refer to others."""

from __future__ import annotations

import uuid

from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=80)
    email = models.EmailField(unique=True)
    joined = models.DateField()
    is_active = models.BooleanField(default=True)
    wishes = models.ManyToManyField("Product")


class Product(models.Model):
    name = models.CharField(max_length=120, db_index=True)
    slug = models.SlugField(unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)
    is_sold = models.BooleanField(default=True)
    details = models.JSONField(default=dict)
    warranty = models.DurationField(null=True)
    created = models.DateTimeField()


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    at = models.DateTimeField(db_index=True)
    state = models.CharField(max_length=1, choices=[("n", "new"), ("p", "paid"), ("s", "sent")])
    total = models.DecimalField(max_digits=12, decimal_places=2)
    address = models.GenericIPAddressField(null=True)


class Line(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
    product = models.ForeignKey(Product, models.PROTECT)
    count = models.PositiveSmallIntegerField()
    price = models.DecimalField(max_digits=10, decimal_places=2)
    note = models.TextField(blank=True)


class Review(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    product = models.ForeignKey(Product, models.CASCADE)
    customer = models.ForeignKey(Customer, models.SET_NULL, null=True)
    stars = models.PositiveSmallIntegerField()
    score = models.FloatField()
    text = models.TextField()
    at = models.DateTimeField()
