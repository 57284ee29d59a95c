"""Vectors: rate of the import, time and recall of search, beside ChromaDB in the same run.

    python benchmarks/vector_search.py [--count 100000] [--chroma-python PATH] [--json FILE]

Writes into the configured target under a collection name of its own and removes it afterwards.
`--chroma-python` names an interpreter that has chromadb: it then writes the store and answers the
same queries; otherwise the store is written by the tests' maker of Chroma files. The vectors are
a mixture in a space of 40 dimensions, turned into 384 and blurred, with lengths from 2 to 6: what
sentence embeddings look like, and what neighbours can be found in.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parent.parent
DIMENSION = 384
LATENT = 40
TOP = 10
NAME = "bench_vector_search"


def make_vectors(count: int, seed: int = 7) -> numpy.ndarray:
    """`count` float32 vectors; the last ones of a longer call are other ones of the same kind."""
    rng = numpy.random.default_rng(seed)
    turn = rng.normal(size=(LATENT, DIMENSION)) / numpy.sqrt(LATENT)
    centres = rng.normal(size=(200, LATENT))
    inner = centres[rng.integers(0, 200, count)] + 0.7 * rng.normal(size=(count, LATENT))
    vectors = inner @ turn + 0.05 * rng.normal(size=(count, DIMENSION))
    lengths = rng.uniform(2, 6, size=(count, 1))
    return (vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True) * lengths).astype("f4")


def exact_top(vectors: numpy.ndarray, queries: numpy.ndarray) -> list[list[str]]:
    """The ids of the ten nearest by cosine, by brute force."""
    unit = vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = queries / numpy.linalg.norm(queries, axis=1, keepdims=True)
    best = numpy.argsort(-(wanted @ unit.T), axis=1)[:, :TOP]
    return [[key_of(int(n)) for n in row] for row in best]


def key_of(n: int) -> str:
    """The id of the n-th item."""
    return f"knowledge_{n:08x}"


def document_of(n: int) -> str:
    """A document of the usual kind."""
    return f"{n}: what was learned, in two sentences. The second of them is about as long. " * 3


def metadata_of(n: int) -> dict[str, object]:
    """Metadata of the usual kind."""
    return {
        "source": "rss",
        "type": "knowledge",
        "n": n,
        "importance_score": n / 7,
        "critical": n % 2 == 0,
    }


def with_chroma(folder: Path, vectors: numpy.ndarray, queries: numpy.ndarray) -> dict[str, object]:
    """Write the store with chromadb and ask it. Runs in the interpreter that has it."""
    import chromadb

    settings = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(str(folder), settings=settings)
    collection = client.create_collection(NAME, metadata={"hnsw:space": "cosine"})
    started = time.perf_counter()
    for start in range(0, len(vectors), 1000):
        part = range(start, min(start + 1000, len(vectors)))
        collection.add(
            ids=[key_of(n) for n in part],
            embeddings=vectors[start : part.stop],
            documents=[document_of(n) for n in part],
            metadatas=[metadata_of(n) for n in part],
        )
    seconds = time.perf_counter() - started

    def ask(query: numpy.ndarray) -> list[str]:
        return collection.query(query_embeddings=[query], n_results=TOP)["ids"][0]

    result = timed(ask, queries, exact_top(vectors, queries))
    return {"version": chromadb.__version__, "add_rate": round(len(vectors) / seconds), **result}


def with_files(folder: Path, vectors: numpy.ndarray) -> None:
    """Write the store with the tests' maker."""
    sys.path.insert(0, str(ROOT))
    from tests.vector.chroma_files import ADD, ChromaFiles

    files = ChromaFiles(folder)
    files.db.execute("BEGIN")
    made = files.collection(NAME, dimension=DIMENSION, space="cosine")
    for n, vector in enumerate(vectors):
        made.write(ADD, key_of(n), vector.tobytes(), document_of(n), metadata_of(n))
        if n == len(vectors) - 700:
            made.flush()
    files.db.execute("COMMIT")
    files.close()


def timed(ask, queries: numpy.ndarray, expected: list[list[str]]) -> dict[str, object]:
    """Milliseconds a query and recall@10."""
    for query in queries[:10]:
        ask(query)
    spent, hits = [], 0
    for query, wanted in zip(queries, expected, strict=True):
        started = time.perf_counter()
        found = ask(query)
        spent.append((time.perf_counter() - started) * 1000)
        hits += len(set(found) & set(wanted))
    spent.sort()
    return {
        "p50_ms": round(statistics.median(spent), 2),
        "p95_ms": round(spent[int(len(spent) * 0.95)], 2),
        "recall_at_10": round(hits / (TOP * len(queries)), 4),
    }


def with_postgresql(
    folder: Path, vectors: numpy.ndarray, queries: numpy.ndarray
) -> dict[str, object]:
    """Import the store, build the index, ask the same queries through the services."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
    import django

    django.setup()
    from django.db import connection

    from tests.vector.moving import import_vectors, prove_vectors
    from vector import services

    moments: dict[str, float] = {}

    def note(event) -> None:
        if event.name in ("table", "done"):
            moments[event.name] = time.perf_counter()
        elif event.name == "index":
            moments["index"] = event.data["seconds"]

    # What ChromaDB and earlier runs wrote is on disk before the clock runs.
    os.sync()
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    started, before = time.perf_counter(), processor_seconds()
    result = import_vectors(folder, on_event=note)
    whole = time.perf_counter() - started - moments["index"]
    here, everywhere = (now - then for now, then in zip(processor_seconds(), before, strict=True))
    processors = {"here": round(here, 2), "elsewhere": round(everywhere - here, 2)}
    try:
        loaded = result.tables[0].outcome.loaded
        collection = services.get_collection(NAME)
        begun = time.perf_counter()
        findings = prove_vectors(folder).findings
        proven = time.perf_counter() - begun
        expected = exact_top(vectors, queries)

        def ask(query: numpy.ndarray, exact: bool = False) -> list[str]:
            return [r.id for r in services.query(collection, query.tolist(), TOP, exact=exact)]

        few = queries[:20]
        return {
            "loaded": loaded,
            "origins": dict(result.tables[0].origins),
            "import_seconds": round(whole, 2),
            "import_rate": round(loaded / whole),
            "load_rate_without_snapshot": round(
                loaded / (moments["done"] - moments["table"] - moments["index"])
            ),
            "import_and_index_processor_seconds": processors,
            "busy_processes_then": round(os.getloadavg()[0], 1),
            "own_memory_mb": own_memory(),
            "index_seconds": round(moments["index"], 1),
            "proof_seconds": round(proven, 1),
            "proof_findings": len(findings),
            **timed(ask, queries, expected),
            "exact": timed(lambda query: ask(query, True), few, expected[: len(few)]),
        }
    finally:
        services.delete_collection(NAME)


def processor_seconds() -> tuple[float, float]:
    """Of this process and of those it has seen end; of the whole machine."""
    # The interpreter that has chromadb need not have it.
    import psutil

    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    times = psutil.cpu_times()
    busy = times.user + times.nice + times.system + times.irq + times.softirq
    return sum(each.ru_utime + each.ru_stime for each in used), busy


def own_memory() -> int | None:
    """Peak of this process's own memory (mapped files not counted), where the system tells."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) // 1024


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--chroma-python")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chroma-folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    everything = make_vectors(options.count + options.queries)
    vectors, queries = everything[: options.count], everything[options.count :]
    if options.chroma_folder:
        print(json.dumps(with_chroma(options.chroma_folder, vectors, queries)))
        return 0
    report: dict[str, object] = {"count": options.count, "dimension": DIMENSION}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "vector_db"
        if options.chroma_python:
            command = [
                options.chroma_python, __file__, "--count", str(options.count),
                "--queries", str(options.queries), "--chroma-folder", str(folder),
            ]  # fmt: skip
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            report["chromadb"] = json.loads(done.stdout.splitlines()[-1])
        else:
            with_files(folder, vectors)
        report["postgresql"] = with_postgresql(folder, vectors, queries)
    text = json.dumps(report, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
