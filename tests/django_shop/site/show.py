"""Print every object that Django reads, one a line; run by `manage.py shell`."""

from datetime import UTC, datetime

from django.apps import apps


def show():
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        if meta.app_label == "transfer" or meta.proxy or not meta.managed:
            continue
        for row in sorted(
            repr([(f.attname, shown(getattr(o, f.attname))) for f in meta.local_concrete_fields])
            for o in model.objects.all()
        ):
            print(meta.label, row)


def shown(value):
    if isinstance(value, datetime) and value.tzinfo:
        # The same moment is shown in the zone of its database.
        return value.astimezone(UTC)
    return bytes(value) if isinstance(value, memoryview) else value
