"""The old application in small, as uvicorn serves it: endpoints of both kinds over the classes.

Each write names what it writes by a key of the caller's, so that the caller can look for it later.
When a process ends it leaves the figures of its connection pool in `POOL_REPORTS`.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import stillme

stillme.setup()

from asgiref.sync import sync_to_async  # noqa: E402
from django.db import Error, connections  # noqa: E402
from fastapi import FastAPI, Request  # noqa: E402
from fastapi.responses import JSONResponse  # noqa: E402

from accuracy.services import AccuracyScorer  # noqa: E402
from continuum.services import ContinuumMemory, PromotionManager  # noqa: E402
from knowledge.services import KnowledgeRetention  # noqa: E402
from rss.services import RSSFetchHistory  # noqa: E402
from tests.pools import pool_becomes_whole  # noqa: E402
from vector import services as vectors  # noqa: E402

retention, scorer, history = KnowledgeRetention(), AccuracyScorer(), RSSFetchHistory()
memory, promotions = ContinuumMemory(), PromotionManager()


@asynccontextmanager
async def reports_its_pool(_: FastAPI) -> AsyncIterator[None]:
    yield
    pool_becomes_whole()
    figures = connections["default"].pool.get_stats()
    report = Path(os.environ["POOL_REPORTS"]) / f"web-{os.getpid()}.json"
    report.write_text(json.dumps(figures))


app = FastAPI(lifespan=reports_its_pool)


@app.exception_handler(Error)
def unavailable(request: Request, error: Exception) -> JSONResponse:
    """For the calls that raise. Left alone, uvicorn would close the client's connection."""
    return JSONResponse(str(error), status_code=503)


@app.post("/items")
async def add_item(key: str) -> bool:
    """As the old endpoints do: a direct call in a coroutine."""
    return retention.add_knowledge(key, "application") > 0


@app.post("/sessions")
async def add_session(key: str) -> bool:
    """A call that leaves the event loop to others."""
    record = sync_to_async(retention.record_learning_session, thread_sensitive=False)
    return await record("chat", key, 0.5) > 0


@app.post("/scores")
def add_score(key: str) -> bool:
    """A plain endpoint, which FastAPI runs in a thread."""
    return scorer.score_response(key, "answer", scoring_method="none: 0.5") > 0


@app.post("/burst")
def add_burst(key: str) -> bool:
    """Threads of the application's own; all or it counts as unknown."""
    with ThreadPoolExecutor(4) as threads:
        keys = threads.map(lambda n: retention.add_knowledge(f"{key}.{n}", "burst"), range(4))
    return min(keys) > 0


@app.post("/moves")
def promote(key: str) -> bool:
    return promotions.promote_item("item", "L0", "L1", key, 0.9, 3, 0.8)


@app.post("/cycles")
def open_cycle() -> int:
    return history.create_fetch_cycle(0)


@app.post("/fetched")
def add_fetched(key: str, cycle: int) -> bool:
    return history.add_fetch_item(cycle, "t", "f", key, "s", "Added to RAG") > 0


@app.post("/vectors")
async def add_vector(key: str) -> bool:
    """The vector services have no class that swallows errors: a direct call that may raise."""
    collection = vectors.get_or_create_collection("application")
    return vectors.upsert(collection, [key], [[1.0, 0.5]], [key]) == 1


@app.get("/retained")
async def retained() -> list[dict[str, Any]]:
    return retention.get_retained_knowledge(min_retention_score=0, limit=20)


@app.get("/latest")
def latest() -> list[dict[str, Any]]:
    return history.get_latest_fetch_items(limit=20)


@app.get("/figures")
async def figures() -> dict[str, Any]:
    return {
        "retention": retention.calculate_retention_metrics(),
        "tiers": memory.get_tier_stats(),
        "fetched": history.get_fetch_stats(),
    }
