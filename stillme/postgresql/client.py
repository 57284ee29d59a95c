"""`dbshell`, also on the embedded server and with the wheel's own psql."""

from __future__ import annotations

import os
from collections.abc import Iterable

from django.db.backends.postgresql import client

from stillme.postgresql.embedded.cluster import wheel_programs


class DatabaseClient(client.DatabaseClient):
    """Django's, which starts the embedded server first."""

    def runshell(self, parameters: Iterable[str]) -> None:
        """Run psql; the wheel's when the server is the wheel's and no other is installed."""
        if self.connection.settings_dict.get("EMBEDDED"):
            # What a connection would be opened with: after this the embedded server runs.
            self.connection.get_connection_params()
            os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], str(wheel_programs())])
        super().runshell(parameters)
