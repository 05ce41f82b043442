"""A server that can be killed, and what may stand between it and a client."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import tidegate


class Gate:
    """A server that comes back at the same address, with what it had."""

    def __init__(self, bundle_path: Path, store: Path, *options: str) -> None:
        self._bundle, self._store, self.port = bundle_path, store, 0
        self._options = options
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(tidegate.__path__[0]).parent)}
        command = [sys.executable, "-m", "tidegate", "serve", self._bundle]
        self._process = subprocess.Popen(
            [
                *map(str, command),
                "--store",
                str(self._store),
                "--port",
                str(self.port),
                *self._options,
            ],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert self._process.stdout is not None
        self.url: str = json.loads(self._process.stdout.readline())["url"]
        self.port = int(self.url.rpartition(":")[2])

    def end(self, number: int = signal.SIGKILL) -> None:
        self._process.send_signal(number)
        self._process.communicate(timeout=30)

    def close(self) -> None:
        if self._process.poll() is None:
            self.end()


class Between(ThreadingHTTPServer):
    """Passes requests on, and does with each what `behave` says of its number, from 1.

    ``"pass"``; ``"drop"``: the server has answered, and the client never hears of it; or a tuple of
    status, headers and body, without asking the server.
    """

    daemon_threads = True

    def __init__(self, port: int, behave: Callable[[int], Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.behave, self.requests = port, behave, 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.seen: list[tuple[str, bytes]] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Between

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.requests += 1
        self.server.seen.append((self.path, body))
        what = self.server.behave(self.server.requests)
        if isinstance(what, str):
            upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=20)
            upstream.request(self.command, self.path, body)
            response = upstream.getresponse()
            answer = response.status, {}, response.read()
            upstream.close()
            if what == "drop":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
        else:
            answer = what
        status, headers, content = answer
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_DELETE = do_POST  # noqa: N815 - the library looks for these names

    def log_message(self, *_: object) -> None:
        pass
