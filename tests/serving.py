"""A real `datasette serve` or `shisho demo` in a process of its own, and one kept connection to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from datasette.app import Datasette

SECRET = "a secret of the tests"
_STARTS_WITHIN_SECONDS = 60


def actor_cookie(actor: Mapping[str, Any]) -> str:
    """Return the cookie of somebody who is logged in to a server of ours."""
    cookie: str = Datasette([], secret=SECRET).sign({"a": dict(actor)}, "actor")
    return cookie


@contextmanager
def serving(
    database: str | Path,
    *options: str,
    with_plugin: bool = True,
    config: Mapping[str, Any] | None = None,
) -> Iterator[int]:
    """Serve a database; yields the port. What the server says goes to `serve.log` beside the database."""
    port = _free_port()
    command = [sys.executable, "-m", "datasette", "serve", str(database), "--root", *options]
    if config is not None:
        path = Path(database).with_suffix(".config.json")
        path.write_text(json.dumps(config))
        command += ["--config", str(path)]
    environment = dict(os.environ)
    if not with_plugin:
        environment["DATASETTE_LOAD_PLUGINS"] = ""
    with Path(database).with_name("serve.log").open("ab") as log:
        server = subprocess.Popen(
            [*command, "-p", str(port), "--secret", SECRET], stdout=log, stderr=log, env=environment
        )
        try:
            _wait_for(port)
            yield port
        finally:
            server.terminate()
            server.wait(10)


@contextmanager
def serving_demo(folder: Path, python: str | Path = sys.executable) -> Iterator[dict[str, Any]]:
    """Serve the sample library, made first if need be; yields what `demo --json` says of the server."""
    command = [str(python), "-m", "datasette", "shisho", "demo", str(folder), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, text
        text += line
    yield json.loads(text)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    process.stdout.close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    until = time.monotonic() + _STARTS_WITHIN_SECONDS
    while True:
        try:
            with closing(HTTPConnection("127.0.0.1", port)) as connection:
                connection.request("GET", "/-/versions.json")
                connection.getresponse().read()
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Requests of one actor over one connection that is kept."""

    def __init__(self, port: int, actor: Mapping[str, Any] | None = None) -> None:
        self.connection = HTTPConnection("127.0.0.1", port)
        self.cookies = {"Cookie": f"ds_actor={actor_cookie(actor)}"} if actor else {}

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *args: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request, its body as JSON unless it is bytes already."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, data, {**self.cookies, **told})
        response = self.connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
