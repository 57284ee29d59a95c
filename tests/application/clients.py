"""Clients of the application that write for a while, and remember what they were told."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import httpx

WRITES = ("items", "sessions", "scores", "burst", "moves", "fetched", "vectors")
RAISES = ("fetched", "vectors")  # the others answer their fallback
READS = ("retained", "latest", "figures")


@dataclass
class Told:
    """Keys by kind of write: acknowledged, or without an answer that says so.

    What is unknown may be stored or not: the server may have gone between a commit and its answer.
    """

    acknowledged: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unknown: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    # When a write of this kind was last acknowledged, by time.monotonic().
    last: dict[str, float] = field(default_factory=lambda: dict.fromkeys(WRITES, 0.0))

    def note(self, kind: str, key: str, stored: bool) -> None:
        """One answer."""
        (self.acknowledged if stored else self.unknown)[kind].add(key)
        if stored:
            self.last[kind] = time.monotonic()


def client(socket: Path) -> httpx.Client:
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://application", timeout=600
    )


def load(sockets: list[Path], cycle: int, clients: int, told: Told, over: Event) -> None:
    """So many clients at once, none with a pause, until it is over; a read after two writes."""
    with ThreadPoolExecutor(clients) as threads:
        for ended in [
            threads.submit(_write, sockets[n % len(sockets)], n, cycle, told, over)
            for n in range(clients)
        ]:
            ended.result()


def _write(socket: Path, number: int, cycle: int, told: Told, over: Event) -> None:
    kinds, reads = itertools.cycle(WRITES), itertools.cycle(READS)
    with client(socket) as http:
        for turn in itertools.count():
            if over.is_set():
                return
            kind, key = next(kinds), f"client {number}.{turn}"
            answer = http.post(f"/{kind}", params={"key": key, "cycle": cycle})
            if kind not in RAISES:
                answer.raise_for_status()
            told.note(kind, key, answer.is_success and answer.json())
            if turn % 2:
                http.get(f"/{next(reads)}").raise_for_status()
