"""What `Project.objects` runs."""

from tests.django_shop.site.show import show

__all__ = ["show"]
