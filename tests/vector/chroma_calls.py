"""Calls of ChromaDB's client, a line each, and what came of them; for the test of the adapter.

Needs neither Django nor chromadb: `play` makes the calls on the client that it is given. What
chromadb itself answers is kept in chroma_answers.jsonl, which

    python tests/vector/chroma_calls.py

writes again where chromadb (the version of VERSION) is installed.
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

VERSION = "1.4.1"
RECORDED = Path(__file__).with_name("chroma_answers.jsonl")
SEEDS = (1, 2, 3)

_THREE = (
    "c.add(ids=['a', 'b', 'c'], embeddings=[[1, 0], [0, 2], [3, 1]], documents=['x', None, ''], "
    "metadatas=[{'k': 1}, None, {'k': 'z', 'f': 1.0, 'b': True}])"
)

# A scene starts with an empty store. Names: client, np, embed; what a line assigns.
SCENES: dict[str, str] = {
    "an empty collection": """
        (c := client.create_collection('empty', embedding_function=None))
        c.count()
        c.get()
        c.get(include=['embeddings', 'uris'])
        c.peek()
        c.query(query_embeddings=[1, 2])
        c.query(query_embeddings=[[1, 2], [3, 4]], include=['embeddings'])
        c.delete(ids=['x'])
        c.update(ids=['x'], embeddings=[[1, 2]])
        c.count()
    """,
    "shapes of get": f"""
        (c := client.create_collection('things', embedding_function=None))
        {_THREE}
        c.get()
        c.get('b')
        c.get(ids=['c', 'nobody', 'a'])
        c.get(include=[])
        c.get(include=['embeddings'])
        c.get(include=['documents', 'metadatas', 'embeddings', 'uris'])
        c.get(ids='nobody', include=['embeddings', 'documents'])
        c.get(limit=2)
        c.get(limit=2, offset=1)
        c.get(offset=2)
        c.get(limit=0)
        c.get(offset=9)
        c.get(['a', 'c'], limit=1, offset=1)
        c.peek()
        c.peek(1)
        c.peek(limit=0)
        c.count()
    """,
    "shapes of query": f"""
        (c := client.create_collection('things', embedding_function=None))
        {_THREE}
        c.query(query_embeddings=[1, 0.2])
        c.query(query_embeddings=[[1, 0.2]])
        c.query(query_embeddings=[[1.0, 0.2], [0.0, 2.0]], n_results=2)
        c.query(query_embeddings=np.array([1, 0.2]), n_results=1)
        c.query(query_embeddings=np.array([[1, 0.2], [5, 5]], dtype=np.float32), n_results=100)
        c.query(query_embeddings=[np.array([1, 0.2])], n_results=1, include=['uris'])
        c.query(query_embeddings=[1, 0.2], include=[])
        c.query([1, 0.2], include=['embeddings', 'documents', 'metadatas', 'distances'])
        c.query(query_embeddings=[1, 0.2], where={{'k': 99}}, include=['embeddings', 'distances'])
        c.query(query_embeddings=[1, 0.2], where={{'k': 1}})
        c.query(query_embeddings=[1, 0.2], where_document={{'$contains': 'x'}})
        c.query(query_embeddings=[1, 0.2], ids=['b', 'c'])
        c.query(query_embeddings=[1, 0.2], ids='b')
        c.query(query_embeddings=[1, 0.2], ids=[])
        c.query(query_embeddings=[1, 0.2], ids=['b', 'b'], include=['distances'])
        c.query(query_embeddings=[1, 0.2], ids=['a', 'b'], where={{'k': 1}})
        c.query(query_embeddings=[1, 0.2], n_results=True, include=[])
    """,
    "the metrics": """
        (l2 := client.create_collection('space-l2', embedding_function=None))
        (ip := client.create_collection('s.ip', metadata={'hnsw:space': 'ip'}, embedding_function=None))
        (co := client.create_collection('s_co', configuration={'hnsw': {'space': 'cosine'}}, embedding_function=None))
        [c.add(ids=['a', 'b', 'c'], embeddings=[[1, 2], [0, 0], [3, 1]]) for c in (l2, ip, co)]
        [c.query(query_embeddings=[[1, 2.5]])['distances'] for c in (l2, ip, co)]
        [c.query(query_embeddings=[[0.5, 3], [-1, 0.1]])['ids'] for c in (l2, ip)]
        [c.metadata for c in (l2, ip, co)]
        client.create_collection('bad', metadata={'hnsw:space': 'far'}, embedding_function=None)
    """,
    "add": f"""
        (c := client.create_collection('things', embedding_function=None))
        c.add(ids='s', embeddings=[1, 0], documents='doc', metadatas={{'b': 2}})
        c.add(ids=['s', 't'], embeddings=[[5, 5], [0.1, 7]], documents=['other', 'new'])
        c.get(include=['embeddings', 'documents', 'metadatas'])
        c.add(ids=['u'], embeddings=np.array([[1, 2]]))
        c.add(ids=['v'], embeddings=[np.array([0.1, 2], dtype=np.float32)], metadatas=[None])
        c.add(['w'], [[1, 3]], [{{'positional': True}}], ['text'])
        c.get(include=['embeddings', 'documents', 'metadatas'])
        c.add(ids=[], embeddings=[])
        c.add(ids=[], embeddings=[[1, 2]])
        c.add(ids=['p', 'q'], embeddings=[[1, 2]])
        c.add(ids=['p', 'q'], embeddings=[[1, 2], [3, 4]], documents=['one'])
        c.add(ids=['p', 'q'], embeddings=[[1, 2], [3, 4]], documents=[])
        c.add(ids=['p', 'q'], embeddings=[[1, 2], [3, 4]], metadatas=[])
        c.add(ids=['p', 'p'], embeddings=[[1, 2], [3, 4]])
        c.add(ids=['p'])
        c.add(ids=[1], embeddings=[[1, 2]])
        c.add(ids=[''], embeddings=[[1, 2]])
        c.add(ids=['p'], embeddings=[[1, 2, 3]])
        c.add(ids=['p', 'q'], embeddings=[[1, 2], [1, 2, 3]])
        c.add(ids=['p'], embeddings=[[True, 2]])
        c.add(ids=['p'], embeddings=[['a', 2]])
        c.add(ids=['p'], embeddings='no')
        c.add(ids=['p'], embeddings=[(1, 2)])
        c.add(ids=['p'], embeddings=[[1, 2]], documents=[5])
        c.add(ids=['p'], embeddings=[[1, 2]], metadatas={{}})
        c.add(ids=['p'], embeddings=[[1, 2]], metadatas=[{{}}])
        c.add(ids=['p'], embeddings=[[1, 2]], metadatas=[{{'k': {{'deep': 1}}}}])
        c.add(ids=['p'], embeddings=[[1, 2]], metadatas=[{{'chroma:document': 'x'}}])
        c.count()
    """,
    "values of metadata": """
        (c := client.create_collection('things', embedding_function=None))
        (m := {'i': 1, 'f': 1.0, 'big': 9223372036854775807, 'low': -9223372036854775808, 't': True, 'no': False})
        c.add(ids='a', embeddings=[1, 0], metadatas=m)
        c.add(ids='b', embeddings=[1, 0], metadatas={'s': '', 'ü': 'ß🙂', 'a b.c"': "'", 'tiny': 5e-324, 'third': 1 / 3})
        c.add(ids='d', embeddings=[1, 0], documents='d')
        c.get()
        c.get(where={'a b.c"': "'"})
    """,
    "upsert": f"""
        (c := client.create_collection('things', embedding_function=None))
        {_THREE}
        c.upsert(ids=['a', 'd'], embeddings=[[7, 7], [8, 8]], metadatas=[{{'q': 1}}, {{'q': 2}}])
        c.upsert(ids='a', embeddings=[9, 9], documents='changed')
        c.upsert(ids='c', embeddings=[9, 8], documents=[None], metadatas=[None])
        c.get(include=['embeddings', 'documents', 'metadatas'])
        c.upsert(ids='a', metadatas={{'q': 1}})
        c.upsert(ids='a')
        c.upsert(ids=['a', 'a'], embeddings=[[1, 2], [3, 4]])
        c.upsert(ids='a', embeddings=[1, 2, 3])
        c.upsert(ids=[], embeddings=[])
        c.get(include=['embeddings', 'documents', 'metadatas'])
    """,
    "update": f"""
        (c := client.create_collection('things', embedding_function=None))
        {_THREE}
        c.update(ids=['a', 'nobody'], metadatas=[{{'more': 1.5}}, {{'k': 1}}])
        c.update(ids='c', metadatas={{'k': None, 'f': 2.0}})
        c.update(ids=['b', 'a'], metadatas=[None, {{'k': 2}}])
        c.update(ids='b', embeddings=[4, 4], documents='now')
        c.update(ids='b', embeddings=[4, 5], documents=[None])
        c.update(ids='a')
        c.get(include=['embeddings', 'documents', 'metadatas'])
        c.update(ids='a', metadatas={{'k': None, 'more': None}})
        c.get('a')
        c.update(ids='a', metadatas={{}})
        c.update(ids=['a', 'a'], metadatas=[{{'k': 1}}, {{'k': 2}}])
        c.update(ids=['a', 'b'], metadatas=[{{'k': 1}}])
        c.update(ids='a', embeddings=[1, 2, 3])
        c.update(ids=[], metadatas=[])
        c.get()
    """,
    "delete": f"""
        (c := client.create_collection('things', embedding_function=None))
        {_THREE}
        c.delete()
        c.delete(ids=[])
        c.delete(ids=['a', 'a'])
        c.delete(where={{}})
        c.delete(ids=['a', 'b'], where={{'k': 'z'}})
        c.delete(ids='nobody')
        c.get(include=[])
        c.delete(ids=['a', 'nobody'])
        c.delete(where={{'f': {{'$gte': 1.0}}}})
        c.get(include=[])
        {_THREE}
        c.get(include=[])
        c.delete(where_document={{'$contains': 'x'}})
        c.delete('c')
        c.get(include=[])
        c.count()
    """,
    "filters": """
        (c := client.create_collection('things', embedding_function=None))
        c.add(ids=list('abcdefg'), embeddings=[[i, 1] for i in range(7)], documents=['red fox', 'Red Fox', 'blue', None, 'fox 50%', 'a_b', 'é'], metadatas=[{'n': 1}, {'n': 2, 's': 'x'}, {'n': 3, 'ok': True}, None, {'x': 2.5}, {'x': -1.5, 's': 'y'}, {'s': 'X', 'ok': False}])
        [c.get(where={'n': {op: 2}}, include=[])['ids'] for op in ('$eq', '$ne', '$gt', '$gte', '$lt', '$lte')]
        [c.get(where={'x': {op: 2.5}}, include=[])['ids'] for op in ('$eq', '$ne', '$gt', '$gte', '$lt', '$lte')]
        [c.get(where={'s': {op: 'x'}}, include=[])['ids'] for op in ('$eq', '$ne')]
        [c.get(where={'ok': {op: True}}, include=[])['ids'] for op in ('$eq', '$ne')]
        [c.get(where={'n': {op: [1, 3]}}, include=[])['ids'] for op in ('$in', '$nin')]
        [c.get(where={'s': {op: ['x', 'q']}}, include=[])['ids'] for op in ('$in', '$nin')]
        [c.get(where={op: [{'n': {'$gt': 1}}, {'ok': True}]}, include=[])['ids'] for op in ('$and', '$or')]
        c.get(where={'$or': [{'$and': [{'n': 2}, {'s': 'x'}]}, {'x': {'$lt': 0.0}}]}, include=[])
        [c.get(where_document={op: 'fox'}, include=[])['ids'] for op in ('$contains', '$not_contains')]
        [c.get(where_document={op: '^[Rr]ed'}, include=[])['ids'] for op in ('$regex', '$not_regex')]
        [c.get(where_document={op: [{'$contains': 'red'}, {'$contains': 'fox'}]}, include=[])['ids'] for op in ('$and', '$or')]
        [c.get(where_document={'$contains': w}, include=[])['ids'] for w in ('50%', '_', 'é', 'e')]
        c.get(['a', 'b', 'e'], where={'n': {'$gte': 1}}, where_document={'$contains': 'Fox'})
        c.get(where={'n': {'$gte': 1}}, limit=1, offset=1)
        c.query(query_embeddings=[2.2, 1], where={'n': {'$ne': 3}}, where_document={'$not_contains': 'red'}, n_results=3)
        c.get(where={})
        c.get(where={'n': 1, 's': 'x'})
        c.get(where={'n': None})
        c.get(where={'n': {'$like': 1}})
        c.get(where={'n': {'$gt': 'x'}})
        c.get(where={'n': {'$in': []}})
        c.get(where={'$and': []})
        c.get(where='n')
        c.get(where_document={})
        c.get(where_document={'$contains': ''})
        c.get(where_document={'$contains': 1})
        c.get(where_document={'$like': 'x'})
        c.query(query_embeddings=[1, 2], where={})
    """,
    "arguments that are none": f"""
        (c := client.create_collection('things', embedding_function=None))
        {_THREE}
        c.get(ids=[])
        c.get(ids=['a', 'a'])
        c.get(ids=[1])
        c.get(include=['distances'])
        c.get(include=['word'])
        c.get(include='documents')
        c.get(include=['data'])
        c.query()
        c.query(query_embeddings=[])
        c.query(query_embeddings=[1, 2, 3])
        c.query(query_embeddings=['a'])
        c.query(query_embeddings=[True, False])
        c.query(query_embeddings=[(1, 2)])
        c.query(query_embeddings=[1, 2], n_results=0)
        c.query(query_embeddings=[1, 2], n_results=-1)
        c.query(query_embeddings=[1, 2], n_results=1.0)
        c.query(query_embeddings=[1, 2], n_results=None)
        c.query(query_embeddings=[1, 2], include=['word'])
    """,
    "texts and an embedding function": """
        (c := client.create_collection('texts', embedding_function=embed))
        c.add(ids=['a', 'b'], documents=['one', 'three'])
        c.add(ids='c', documents='own vector', embeddings=[1, 1, 1])
        c.query(query_texts='two', n_results=2)
        c.query(query_texts=['two', 'three'])
        c.update(ids='a', documents='another')
        c.upsert(ids=['b', 'd'], documents=['thirty', 'four'])
        c.get(include=['embeddings', 'documents'])
        c.add(ids=['x', 'y'], documents=['one', None])
        c.add(ids=['x'], documents=[5])
        client.get_collection('texts', embedding_function=embed).query(query_texts=['one'])
    """,
    "collections": """
        client.list_collections()
        client.count_collections()
        (b := client.create_collection('bbb', metadata={'about': 'b', 'n': 1}, embedding_function=None))
        (a := client.create_collection('aaa', embedding_function=None))
        sorted(map(repr, client.list_collections()))
        len(client.list_collections(limit=1))
        [each for n in (0, 1) for each in client.list_collections(limit=1, offset=n)] == client.list_collections()
        client.list_collections(offset=2)
        client.count_collections()
        [b.name, b.metadata, a.metadata, b.tenant, b.database, repr(b)]
        client.create_collection('bbb')
        client.create_collection('bbb', get_or_create=True, embedding_function=None).metadata
        client.get_or_create_collection('bbb', metadata={'n': 2}, embedding_function=None).metadata
        client.get_or_create_collection('new', metadata={'n': 2}, embedding_function=None).metadata
        client.get_collection('bbb', embedding_function=None) == b
        a == b
        client.get_collection('nobody')
        client.delete_collection('nobody')
        client.create_collection('a')
        client.create_collection('two words')
        client.create_collection('-abc')
        client.create_collection('meta', metadata={}, embedding_function=None)
        client.delete_collection('new')
        sorted(map(repr, client.list_collections()))
        client.reset()
        type(client.heartbeat()).__name__
    """,
    "objects that are kept": """
        (c := client.create_collection('things', embedding_function=None))
        (d := client.get_collection('things', embedding_function=None))
        c.add(ids=['a'], embeddings=[[1, 2]])
        d.query(query_embeddings=[1, 2])
        d.count()
        c.modify(name='renamed')
        c.name
        d.count()
        client.get_collection('renamed', embedding_function=None).get()
        client.get_collection('things')
        c.modify(metadata={'z': 1})
        [c.metadata, client.get_collection('renamed', embedding_function=None).metadata]
        c.modify()
        c.modify(metadata={})
        c.modify(metadata={'hnsw:space': 'ip'})
        c.modify(name='a')
        (other := client.create_collection('other', embedding_function=None))
        c.modify(name='other')
        client.delete_collection('renamed')
        c.count()
        c.get()
        c.peek()
        c.add(ids=['x'], embeddings=[[1, 2]])
        c.upsert(ids=['x'], embeddings=[[1, 2]])
        c.update(ids=['x'], embeddings=[[1, 2]])
        c.query(query_embeddings=[1, 2])
        c.delete(ids=['x'])
        c.modify(name='again')
        (e := client.create_collection('renamed', embedding_function=None))
        c.count()
        e.count()
    """,
}

# Where the adapter answers something else: the line after a few of preparation, and its answer.
DIFFERENT: dict[str, Any] = {
    "c.add(ids=['n'], embeddings=[[1, 2]], metadatas=[{'gone': None, 'k': 1}])": None,
    "c.add(ids=['n'], embeddings=[[1, 2]], metadatas=[{'list': [1, 2]}])": None,
    "c.add(ids=['n'], embeddings=[[float('nan'), 2]])": "InvalidArgumentError",
    "c.add(ids=['n'], embeddings=[[1, 2]], metadatas=[{'x': float('nan')}])": "InvalidArgumentError",
    "c.add(ids=['n'], embeddings=[[1, 2]], documents=['a' + chr(0)])": "InvalidArgumentError",
    "c.add(ids=['n'], embeddings=[[1, 2]], uris=['http://x'])": "InvalidArgumentError",
    "c.get(limit=-1)": "InvalidArgumentError",
    "c.get(limit=1.0)['ids']": ["a"],
    "c.get(where={'$and': [{'k': 'z'}]})['ids']": ["c"],
    "c.get(where={'f': {'$in': [1, 'z']}})['ids']": ["c"],
    "c.query(query_embeddings=[1, 2], ids=['b', 'nobody'])['ids']": [["b"]],
    "c.query(query_embeddings=[1, float('nan')])": "InvalidArgumentError",
    "c.query(query_embeddings=[[]])": "InvalidArgumentError",
    "c.add(ids=['n'], embeddings=[[1, 2]], metadatas=['word'])": "InvalidArgumentError",
}  # fmt: skip
BEFORE_DIFFERENT = ["(c := client.create_collection('things', embedding_function=None))", _THREE]


class Embed:
    """An embedding function as chromadb wants one: three numbers of a text's letters."""

    def __call__(self, input: Any) -> Any:  # noqa: A002 - chromadb checks the name
        return [_letters(text, 0.0) for text in input]

    def embed_query(self, input: Any) -> Any:  # noqa: A002
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


def scenes() -> Iterator[tuple[str, list[str]]]:
    """Every scene with its lines: the table's, and the random ones."""
    for name, text in SCENES.items():
        yield name, [line.strip() for line in text.strip().splitlines()]
    for seed in SEEDS:
        yield f"seed {seed}", random_lines(seed)


def random_lines(seed: int, calls: int = 60) -> list[str]:
    """Calls by chance on a dozen ids; the same for the same seed."""
    rng = random.Random(seed)
    space = rng.choice(["l2", "cosine", "ip"])
    first = f"(c := client.create_collection('random', metadata={{'hnsw:space': {space!r}}}, embedding_function=embed))"
    return [first, *(_random_line(rng) for _ in range(calls)), "c.get()", "c.count()"]


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


def same(theirs: Any, ours: Any) -> bool:
    """Whether two answers are equal, in type too; distances and vectors nearly."""
    if isinstance(theirs, dict) and "raises" in theirs:
        return isinstance(ours, dict) and theirs["raises"][0] in ours.get("raises", [])
    if type(theirs) is not type(ours):
        return False
    if isinstance(theirs, dict):
        return theirs.keys() == ours.keys() and all(same(theirs[k], ours[k]) for k in theirs)
    if isinstance(theirs, list):
        return len(theirs) == len(ours) and all(map(same, theirs, ours))
    if isinstance(theirs, float):
        return math.isclose(theirs, ours, rel_tol=1e-4, abs_tol=3e-5)
    return bool(theirs == ours)


def record() -> None:
    """Write what chromadb answers."""
    with RECORDED.open("w", encoding="utf-8") as file:
        for name, lines in [*scenes(), ("different", [*BEFORE_DIFFERENT, *DIFFERENT])]:
            for line, answer in zip(lines, play(chroma_client(), lines), strict=True):
                if isinstance(answer, dict) and "raises" in answer:
                    answer = {"raises": answer["raises"][:1]}
                print(json.dumps([name, line, answer], ensure_ascii=False), file=file)


def recorded() -> dict[str, list[tuple[str, Any]]]:
    """Per scene: its lines, and what chromadb answered."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for text in RECORDED.read_text(encoding="utf-8").splitlines():
        name, line, answer = json.loads(text)
        found.setdefault(name, []).append((line, answer))
    return found


def chroma_client() -> Any:
    """A client of the installed chromadb on a folder of its own."""
    import chromadb
    from chromadb.config import Settings

    if chromadb.__version__ != VERSION:
        raise RuntimeError(f"These answers are of chromadb {VERSION}: install that one.")
    return chromadb.PersistentClient(
        tempfile.mkdtemp(prefix="chroma-"), settings=Settings(anonymized_telemetry=False)
    )


if __name__ == "__main__":
    record()
    print(f"{RECORDED}: written", file=sys.stderr)
