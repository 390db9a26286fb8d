"""The guard against mass loss: how many records may go before somebody has to name the number. Pure."""

from __future__ import annotations

from ..errors import MassRemoval
from ..value_text import counted

_FEW = 5  # so many may always go: a tenth of a very small library is less than one book
_SHARE = 10


def is_much(count: int, known: int) -> bool:
    """Tell whether `count` records of files are too many to go unasked from a library that has `known`."""
    return count > max(_FEW, known // _SHARE)


def require_confirmed(library: str, count: int, known: int, confirmed: int | None) -> None:
    """Raise MassRemoval when much would go and nobody said that so many may."""
    if is_much(count, known) and (confirmed is None or count > confirmed):
        raise MassRemoval(mass_removal_text(library, count, known), count, known)


def mass_removal_text(library: str, count: int, known: int) -> str:
    return (
        f"{counted(count, 'record')} of the {counted(known, 'file')} that the library {library!r} knows "
        "would be removed, because the files are gone."
    )
