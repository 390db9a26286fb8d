"""What happens once when Datasette starts: the state, then what every library shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .access import tell_unknown_libraries
from .library import libraries_of
from .look import give_look
from .questions import store_questions
from .state import start, state_of

if TYPE_CHECKING:
    from datasette.app import Datasette


async def start_all(datasette: Datasette) -> None:
    """Raises StartupError."""
    await start(datasette)
    await tell_unknown_libraries(libraries_of(datasette), state_of(datasette).settings)
    await give_look(datasette)
    await store_questions(datasette)
