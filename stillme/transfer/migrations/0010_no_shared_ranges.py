"""Several importers no longer share a run."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("transfer", "0009_proof_circumstances")]

    operations = [migrations.DeleteModel("SharedRange")]
