"""Django's entry for the engine."""

from importlib import import_module

from django.apps import AppConfig, apps
from django.db.models.signals import pre_migrate
from django.utils.module_loading import module_has_submodule


class TransferConfig(AppConfig):
    """App `transfer`; its own tables live in the schema `transfer`."""

    name = "stillme.transfer"
    label = "transfer"
    verbose_name = "Transfer"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Read TRANSFER, register the system checks, import the module `legacy` of each app.

        Of the apps that TRANSFER names, where it names some.
        """
        from stillme.transfer import checks  # noqa: F401
        from stillme.transfer.conf import conf
        from stillme.transfer.project.models import build
        from stillme.transfer.project.target import refuse_migrations
        from stillme.transfer.registry import registered

        pre_migrate.connect(refuse_migrations)
        chosen = conf().apps
        for config in apps.get_app_configs():
            wanted = chosen is None or config.label in chosen
            if wanted and config.module and module_has_submodule(config.module, "legacy"):
                import_module(f"{config.name}.legacy")
        build()
        if any(model.legacy.target == "contenttypes.ContentType" for model in registered()):
            # Then `migrate` makes no content types and permissions of the engine's models: their
            # ids are those that the file will give to its own.
            self.models_module = None
