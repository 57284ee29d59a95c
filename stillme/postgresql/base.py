"""The DatabaseWrapper: Django's PostgreSQL backend with what this project adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db.backends.postgresql import base

from stillme.postgresql.embedded import ensure_server, revive_server


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, which starts the embedded server when the settings name no other."""

    def get_connection_params(self) -> dict[str, Any]:
        """Django's parameters; the embedded server runs when this returns."""
        self.ensure_embedded_server()
        return super().get_connection_params()

    def ensure_embedded_server(self) -> None:
        """Start the embedded server if the settings name no other, and point them at it."""
        if embedded := self.settings_dict.get("EMBEDDED"):
            socket_directory = ensure_server(Path(embedded["directory"]), embedded["database"])
            self.settings_dict["HOST"] = str(socket_directory)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; an embedded server that went away meanwhile is started again, once."""
        try:
            return super().get_new_connection(conn_params)
        except base.Database.OperationalError:
            embedded = self.settings_dict.get("EMBEDDED")
            if not embedded or not revive_server(Path(embedded["directory"])):
                raise
        return super().get_new_connection(conn_params)
