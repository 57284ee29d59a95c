"""The settings that callers hand to ChromaDB's client."""

from __future__ import annotations

from types import SimpleNamespace


class Settings(SimpleNamespace):
    """Takes every setting of chromadb.config.Settings by keyword; none of them chooses anything."""
