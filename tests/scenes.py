"""Scenes: legacy files and a database as some steps left them; made once, put back for each test.

Capture, import and cut-over of the sample files take two seconds of processor time, putting them
back a quarter of one. The ledger notes which file (path, device, inode) and which database (OID) it
is about and which transaction wrote a row. So the bytes are written into the same files, and the
database is copied under its old name and OID:

    @pytest.fixture
    def live(data, stage):
        return stage("live", make)      # make(folder) is called for the first test only
"""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import connections

from tests.template_database import copy_database, drop, maintenance


@dataclass(frozen=True)
class Scene:
    """What the files of a folder and the database `copy` held when the scene was made.

    `kept` has a hard link to each file: the file is still that one when a test has replaced it.
    """

    folder: Path
    kept: Path
    held: dict[Path, bytes]
    copy: str
    oid: int

    @classmethod
    def of(cls, folder: Path, kept: Path, copy: str) -> Scene:
        """The scene as it is now in this folder and in the test database."""
        kept.mkdir()
        held = {}
        for path in folder.iterdir():
            held[path] = path.read_bytes()
            os.link(path, kept / path.name)
        database = _database()
        with maintenance(connections["default"]) as server:
            found = server.execute("SELECT oid FROM pg_database WHERE datname = %s", [database])
            ((oid,),) = found.fetchall()
            copy = f"{database}_scene_{copy}"
            copy_database(server, copy, database)
        return cls(folder, kept, held, copy, oid)

    def put_back(self) -> None:
        """Give the files and the database what they held."""
        # A connection in a cycle of garbage would still have the old write-ahead log.
        gc.collect()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        for path, content in self.held.items():
            os.link(self.kept / path.name, path)
            path.chmod(0o644)
            path.write_bytes(content)
        database = _database()
        with maintenance(connections["default"]) as server:
            drop(server, database)
            copy_database(server, database, self.copy, self.oid)


class Stage:
    """The scenes of one test process, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scenes: dict[str, Scene] = {}

    def folder_of(self, name: str) -> Path:
        """Where the legacy files of a scene are."""
        return self.folder / name

    def show(self, name: str, make: Callable[[Path], None]) -> Path:
        """Put the scene back, or make it; answers its folder."""
        folder = self.folder_of(name)
        if name in self.scenes:
            self.scenes[name].put_back()
        else:
            folder.mkdir()
            make(folder)
            self.scenes[name] = Scene.of(folder, self.folder / f"{name} kept", name)
        return folder


def _database() -> str:
    """The name of the test database; this process is connected to it no more."""
    for connection in connections.all(initialized_only=True):
        connection.close()
    connections["default"].close_pool()
    return str(connections["default"].settings_dict["NAME"])
