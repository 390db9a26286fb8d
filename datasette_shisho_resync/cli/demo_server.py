"""Datasette on the sample library, in this process: edits made by hand, a socket, a sign-in link."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import uvicorn
from datasette.app import Datasette
from datasette.utils import parse_metadata

from ..errors import ResyncError
from ..site import METADATA, TEMPLATES

_HOST = "127.0.0.1"
_FIRST_PORT, _PORTS = 8001, 50
_ROOT = {"id": "root"}
_EDITS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("Pride and Prejudice", {"description": "The copy that I lend to everybody. Do not take it on a train."}),
    ("Moby-Dick", {"title": "Moby-Dick; or, The Whale"}),
)


class DemoServer:
    """Use with `async with`; `listen` before `url` and `run`."""

    def __init__(self, database: str) -> None:
        metadata: Any = parse_metadata(METADATA.read_text(encoding="utf-8"))
        self._datasette = Datasette([database], metadata=metadata, template_dir=str(TEMPLATES))
        self._datasette.root_enabled = True
        self._socket: socket.socket | None = None

    async def __aenter__(self) -> DemoServer:
        await self._datasette.invoke_startup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()
        await self._datasette.invoke_shutdown()
        self._datasette.close()

    async def edit_by_hand(self) -> None:
        """Change some values as a person does in Datasette, so that they count as manual."""
        client = self._datasette.client
        for title, values in _EDITS:
            found = await client.get(
                "/library/books.json", params={"title": title, "_shape": "array"}, actor=_ROOT
            )
            for book in found.json():
                body = {"update": dict(values)}
                await client.post(f"/library/books/{book['id']}/-/update", json=body, actor=_ROOT)

    def listen(self, port: int | None) -> None:
        """Take a port; without a wish, the first free one. Raises ResyncError when it is taken."""
        wanted = range(_FIRST_PORT, _FIRST_PORT + _PORTS) if port is None else (port,)
        for number in wanted:
            try:
                self._socket = socket.create_server((_HOST, number))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return
        raise ResyncError(f"Port {wanted[0]} is taken: choose another one with --port.")

    @property
    def url(self) -> str:
        assert self._socket is not None
        return f"http://{_HOST}:{self._socket.getsockname()[1]}/"

    @property
    def sign_in_url(self) -> str:
        """The link that `datasette serve --root` prints; there is no public name for its token."""
        return f"{self.url}-/auth-token?token={self._datasette._root_token}"

    async def run(self) -> None:
        """Serve until the process is asked to stop."""
        assert self._socket is not None
        config = uvicorn.Config(self._datasette.app(), log_level="warning", lifespan="on")
        await uvicorn.Server(config).serve(sockets=[self._socket])
