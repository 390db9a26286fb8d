"""What happens once when Datasette starts: the state, then what every library shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .look import give_look
from .questions import store_questions
from .state import start

if TYPE_CHECKING:
    from datasette.app import Datasette


async def start_all(datasette: Datasette) -> None:
    """Raises StartupError."""
    await start(datasette)
    await give_look(datasette)
    await store_questions(datasette)
