"""A TCP proxy in front of the server that can go silent, as a cut network does.

A process that only stops reading is not silent: its kernel goes on acknowledging. Here a filter on
the sockets drops whatever arrives, acknowledgements included, and nothing is sent.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_SO_ATTACH_FILTER = 26
_RETURN = 0x06


class SilentProxy:
    """Forwards until a client sends `trigger`; then every socket is cut off."""

    def __init__(self, parameters: dict[str, Any], trigger: bytes) -> None:
        self._to, self._trigger = parameters, trigger
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.is_silent = threading.Event()
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connect()
                self._sockets += [client, server]
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = str(self._to["host"]), int(self._to["port"])
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _forward(self, origin: socket.socket, target: socket.socket, is_client: bool) -> None:
        with suppress(OSError):
            while block := origin.recv(1 << 16):
                if is_client and self._trigger in block:
                    self._go_silent()
                if not self.is_silent.is_set():
                    target.sendall(block)
            if not self.is_silent.is_set():
                target.shutdown(socket.SHUT_WR)

    def _go_silent(self) -> None:
        self.is_silent.set()
        for each in self._sockets:
            if each.family == socket.AF_INET:
                drop_everything(each)

    def close(self) -> None:
        """Close whatever is open."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def drop_everything(which: socket.socket) -> None:
    """Let the kernel drop each packet that arrives for the socket."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
    filtering = struct.pack("HL", 1, ctypes.addressof(program))
    which.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filtering)


def may_drop() -> bool:
    """Whether the system lets this user put a filter on a socket; some want privileges for it."""
    with socket.socket() as tried:
        try:
            drop_everything(tried)
        except PermissionError:
            return False
    return True


@contextmanager
def silent_proxy(parameters: dict[str, Any], trigger: bytes) -> Iterator[SilentProxy]:
    """A proxy to the server of these connection parameters."""
    proxy = SilentProxy(parameters, trigger)
    try:
        yield proxy
    finally:
        proxy.close()
