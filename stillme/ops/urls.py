"""The pages that machines read."""

from django.urls import path

from stillme.ops.health import healthz, readyz
from stillme.ops.metrics import metrics

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
]
