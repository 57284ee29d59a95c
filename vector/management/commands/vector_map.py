"""`vector_map`: the two-dimensional map of a collection, made and kept for the console."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stillme.visible import fitting
from vector.meaning.maps import NoMapError, make_map
from vector.models import Collection


class Command(BaseCommand):
    """Parse, make, say."""

    help = "Make the two-dimensional map of collections, which the console shows."
    examples = ("manage.py vector_map", "manage.py vector_map notes")

    def add_arguments(self, parser: CommandParser) -> None:
        """The collections."""
        parser.epilog = "Examples:\n" + "\n".join(f"  {example}" for example in self.examples)
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("name", nargs="*", help="Collections by name; without, all of them.")

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each; status 1 if one that was named has no map.

        Raises CommandError for a name that no collection has.
        """
        names = options["name"]
        found = Collection.objects.order_by("name", "pk")
        found = found.filter(name__in=names) if names else found
        missing = set(names) - {collection.name for collection in found}
        if missing:
            known = ", ".join(Collection.objects.order_by("name").values_list("name", flat=True))
            raise CommandError(
                f"There is no such collection: {', '.join(sorted(missing))}. Choose from: "
                f"{known or 'none, the store is empty'}.",
                returncode=2,
            )
        without = False
        for collection in found:
            try:
                said = f"a map of {make_map(collection).items} items"
            except NoMapError as error:
                said = str(error)
                without = True
            self.stdout.write(fitting(f"{collection.name}: {said}", self.stdout))
        if names and without:
            raise SystemExit(1)
