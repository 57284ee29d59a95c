"""Makes calls on a client of ChromaDB's kind, and says what came of them.

Needs neither Django nor chromadb: `play` takes the client. What chromadb itself answers is kept
in answers.jsonl, which

    python -m tests.vector.client.play

writes again where chromadb (the version of VERSION) is installed.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.vector.client.embed import Embed
from tests.vector.client.random_calls import random_lines

VERSION = "1.4.1"
CALLS = Path(__file__).with_name("calls.txt")
ANSWERS = Path(__file__).with_name("answers.jsonl")
SEEDS = (1, 2, 3)


def scenes() -> dict[str, list[str]]:
    """Every scene with its lines: those of calls.txt, and the random ones."""
    found: dict[str, list[str]] = {}
    for line in CALLS.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            lines = found.setdefault(line.removeprefix("## "), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return found | {f"seed {seed}": random_lines(seed) for seed in SEEDS}


def play(client: Any, lines: list[str]) -> list[Any]:
    """What each line answers, as JSON has it; of an error, {"raises": its class's names}."""
    names = {"client": client, "np": np, "embed": Embed()}
    return [_answer(line, names) for line in lines]


def _answer(line: str, names: dict[str, Any]) -> Any:
    try:
        return _plain(eval(line, names))
    except Exception as error:  # noqa: BLE001 - what is raised is the answer
        return {"raises": [each.__name__ for each in type(error).__mro__[:-2]]}


def _plain(value: Any, key: str = "") -> Any:
    if isinstance(value, np.ndarray):
        return {"array": _plain(value.tolist(), "embeddings"), "type": str(value.dtype)}
    if isinstance(value, dict):
        return {name: _plain(each, name) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, key) for each in value]
    if isinstance(value, float) and key in ("embeddings", "distances"):
        return round(value, 5)
    return value if isinstance(value, str | int | float | None) else repr(value)


def same(theirs: Any, ours: Any, near: bool = True) -> bool:
    """Whether two answers are equal, in type too; numbers only nearly, those of metadata quite.

    An error of ours may be a subclass of theirs.
    """
    if isinstance(theirs, dict) and "raises" in theirs:
        return isinstance(ours, dict) and theirs["raises"][0] in ours.get("raises", [])
    if type(theirs) is not type(ours):
        return False
    if isinstance(theirs, dict):
        if theirs.keys() != ours.keys():
            return False
        return all(same(theirs[k], ours[k], near and k != "metadatas") for k in theirs)
    if isinstance(theirs, list):
        pairs = zip(theirs, ours, strict=False)
        return len(theirs) == len(ours) and all(same(a, b, near) for a, b in pairs)
    if isinstance(theirs, float) and near:
        return math.isclose(theirs, ours, rel_tol=1e-4, abs_tol=3e-5)
    return bool(theirs == ours)


def record() -> None:
    """Write what chromadb answers."""
    with ANSWERS.open("w", encoding="utf-8") as file:
        for name, lines in scenes().items():
            with tempfile.TemporaryDirectory() as folder:
                answers = play(chroma_client(folder), lines)
            for line, answer in zip(lines, answers, strict=True):
                if isinstance(answer, dict) and "raises" in answer:
                    answer = {"raises": answer["raises"][:1]}
                print(
                    json.dumps([name, line, answer], ensure_ascii=False, sort_keys=True), file=file
                )


def recorded() -> dict[str, list[tuple[str, Any]]]:
    """Per scene: its lines, and what chromadb answered."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for text in ANSWERS.read_text(encoding="utf-8").splitlines():
        name, line, answer = json.loads(text)
        found.setdefault(name, []).append((line, answer))
    return found


def chroma_client(folder: str) -> Any:
    """A client of the installed chromadb on a folder."""
    import chromadb
    from chromadb.config import Settings

    if chromadb.__version__ != VERSION:
        raise RuntimeError(f"These answers are of chromadb {VERSION}: install that one.")
    return chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))


if __name__ == "__main__":
    record()
    print(f"{ANSWERS}: written", file=sys.stderr)
