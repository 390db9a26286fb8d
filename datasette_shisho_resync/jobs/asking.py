"""What a request asks of a job: the mode in a query, the body of a POST, read and checked. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import Mode
from ..web.asking import COUNT, MODE_AND_FIELDS, TEXT, BadBody, mode_and_fields, read_form, read_keys

_JSON_KEYS = {**MODE_AND_FIELDS, "confirm_removals": COUNT, "selection": TEXT}
_FORM_KEYS = ("mode", "selection", "confirm_removals")


@dataclass(frozen=True, slots=True)
class JobWish:
    """A job as asked for. `selection` is the digest of the rows that must still be the selected ones."""

    mode: Mode = Mode.SCAN
    fields: tuple[str, ...] | None = None
    selection: str | None = None
    confirm_removals: int | None = None


def job_wish_from_mode(mode: str | None) -> JobWish:
    """Raises BadBody."""
    return JobWish(mode_and_fields({"mode": mode})[0])


def job_wish_from_json(body: bytes) -> JobWish:
    """Raises BadBody naming everything that is wrong."""
    data = read_keys(body, _JSON_KEYS)
    mode, fields = mode_and_fields(data)
    return JobWish(mode, fields, data.get("selection"), data.get("confirm_removals"))


def job_wish_from_form(body: bytes) -> JobWish:
    """Raises BadBody."""
    form = {key: values[0] for key, values in read_form(body, _FORM_KEYS).items()}
    mode, _ = mode_and_fields(form)
    number = form.get("confirm_removals") or None
    if number is not None and not (number.isascii() and number.isdigit() and len(number) < 20):
        raise BadBody(["confirm_removals must be a whole number"])
    return JobWish(mode, None, form.get("selection") or None, None if number is None else int(number))
