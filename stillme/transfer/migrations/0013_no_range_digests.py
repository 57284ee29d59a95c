"""A sweep compares every row: what an earlier one found is not relied upon."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("transfer", "0012_finished")]

    operations = [migrations.DeleteModel("RangeDigest")]
