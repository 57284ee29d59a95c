"""The Django app that carries the `demo` command."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """No models: the app only brings a command and the generator behind it."""

    name = "stillme.demo"
    label = "demo"
    verbose_name = "Sample legacy files"
