from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=20)
    since = models.DateTimeField()


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    at = models.DateTimeField()
