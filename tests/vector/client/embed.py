"""An embedding function that needs no model."""

from __future__ import annotations

from typing import Any

import numpy as np


class Embed:
    """An embedding function as chromadb wants one: three numbers of a text's letters."""

    def __call__(self, input: Any) -> Any:
        return [_letters(text, 0.0) for text in input]

    def embed_query(self, input: Any) -> Any:
        """Of a text that is searched for: a little elsewhere, as some models have it."""
        return [_letters(text, 0.25) for text in input]

    @staticmethod
    def name() -> str:
        return "letters"

    def get_config(self) -> dict[str, Any]:
        return {}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> Embed:
        return Embed()

    def default_space(self) -> str:
        return "cosine"

    def supported_spaces(self) -> list[str]:
        return ["cosine", "l2", "ip"]

    def is_legacy(self) -> bool:
        return False


def _letters(text: str, further: float) -> Any:
    sums = [sum(ord(c) * (n * k + 1) for n, c in enumerate(text)) % 89 for k in (1, 2, 3)]
    return np.array([each / 8 + further + 1 for each in sums], dtype=np.float32)
