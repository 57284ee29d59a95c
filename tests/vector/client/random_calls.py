"""Calls of a collection by chance, as the lines of calls.txt; the same for the same seed."""

from __future__ import annotations

import random
from typing import Any


def random_lines(seed: int, calls: int = 60) -> list[str]:
    """Calls by chance on a dozen ids; the same for the same seed."""
    rng = random.Random(seed)
    space = rng.choice(["l2", "cosine", "ip"])
    metadata = {"hnsw:space": space}
    first = f"client.create_collection('random', metadata={metadata}, embedding_function=embed)"
    return [f"(c := {first})", *(_random_line(rng) for _ in range(calls)), "c.get()", "c.count()"]


def _random_line(rng: random.Random) -> str:
    kind = rng.choices(
        ["add", "upsert", "update", "delete", "get", "query", "peek"], [5, 3, 3, 1, 3, 5, 1]
    )[0]
    if kind in ("add", "upsert", "update"):
        return f"c.{kind}({_records(rng, kind)})"
    if kind == "delete":
        chosen = rng.choice([f"ids={_ids(rng)}", f"where={_where(rng)}"])
        return f"c.delete({chosen})"
    if kind == "peek":
        return f"c.peek({rng.randint(0, 4)})"
    filters = [f"where={_where(rng)}"] * rng.randint(0, 1)
    filters += [f"where_document={_where_document(rng)}"] * (rng.random() < 0.3)
    if kind == "get":
        if rng.random() < 0.3:
            filters.append(f"ids={_ids(rng)}")
        if rng.random() < 0.3:
            filters.append(f"limit={rng.randint(0, 5)}, offset={rng.randint(0, 3)}")
        filters.append(f"include={rng.sample(['documents', 'metadatas', 'embeddings'], 2)}")
        return f"c.get({', '.join(filters)})"
    wanted = rng.choice(
        [f"query_embeddings={_vector(rng)}", f"query_embeddings=[{_vector(rng)}, {_vector(rng)}]",
         f"query_texts={_text(rng)!r}"]
    )  # fmt: skip
    parts = rng.sample(["documents", "metadatas", "embeddings"], 1)
    filters.append(f"include={['distances', *parts]}")
    return f"c.query({wanted}, n_results={rng.randint(1, 14)}, {', '.join(filters)})"


def _records(rng: random.Random, kind: str) -> str:
    ids = _ids(rng)
    vectors = [_vector(rng) for _ in ids]
    texts = [_text(rng) for _ in ids]
    metadatas = [_metadata(rng, kind) for _ in ids]
    columns = {
        "embeddings": f"embeddings={vectors}",
        "documents": f"documents={texts}",
        "metadatas": f"metadatas={metadatas}",
    }
    needed = rng.choice(["embeddings", "documents"]) if kind != "update" else "metadatas"
    chosen = [name for name in columns if name == needed or rng.random() < 0.5]
    return ", ".join([f"ids={ids}", *(columns[name] for name in chosen)])


def _ids(rng: random.Random) -> list[str]:
    return rng.sample([f"i{n}" for n in range(12)], rng.randint(1, 3))


def _vector(rng: random.Random) -> list[float]:
    return [round(rng.uniform(-9, 9), 3) for _ in range(3)]


def _text(rng: random.Random) -> str:
    return f"{rng.choice(['red', 'Red', 'green', 'ümlaut'])} {rng.choice('xyz')}{rng.random():.4f}"


def _metadata(rng: random.Random, kind: str) -> dict[str, Any] | None:
    values: dict[str, Any] = {
        "n": rng.randint(-2, 2),
        "x": rng.choice([0.5, 1.25, -2.5, 1.0]),
        "s": rng.choice(["p", "q", ""]),
        "b": rng.random() < 0.5,
    }
    chosen = {key: values[key] for key in rng.sample(list(values), rng.randint(0, 3))}
    if kind == "update" and rng.random() < 0.3:
        chosen[rng.choice(list(values))] = None
    return chosen or None


def _where(rng: random.Random, depth: int = 1) -> dict[str, Any]:
    if depth and rng.random() < 0.3:
        parts = [_where(rng, depth - 1) for _ in range(2)]
        return {rng.choice(["$and", "$or"]): parts}
    key = rng.choice(["n", "x", "s", "b", "nokey"])
    value: Any = {
        "n": rng.randint(-2, 2), "x": rng.choice([0.5, 1.25, 2.0]), "s": rng.choice("pq"),
        "b": rng.random() < 0.5, "nokey": 1,
    }[key]  # fmt: skip
    equal = ["$eq", "$ne", "$in", "$nin"]
    operator = rng.choice(equal + ["$gt", "$gte", "$lt", "$lte"] * (key in ("n", "x")))
    return {key: {operator: [value] if operator in ("$in", "$nin") else value}}


def _where_document(rng: random.Random) -> dict[str, Any]:
    operator = rng.choice(["$contains", "$not_contains", "$regex", "$not_regex"])
    return {operator: rng.choice(["red", "Red x", "y0", "ü"])}
