"""What a request asks for: the query or body of a resync, read and checked. Pure.

A body is JSON unless it clearly is a form: `curl -d '{...}'` sends JSON as a form's type.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from ..errors import BadRequest
from ..fields import BY_NAME
from ..model import Mode, Target
from ..resync import Ask


class BadBody(BadRequest):
    """Everything that is wrong with a body, a sentence each."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("; ".join(messages), tuple(messages))
        self.messages = tuple(messages)


@dataclass(frozen=True, slots=True)
class Wish:
    """A resync as asked for, by whatever way; the row is not its business.

    `deselected` are the fields that a person looked at and left out.
    """

    mode: Mode = Mode.SCAN
    dry_run: bool = False
    fields: tuple[str, ...] | None = None
    digest: str | None = None
    confirm_missing: bool = False
    deselected: frozenset[str] = frozenset()

    def ask(self, target: Target) -> Ask:
        return Ask(target, self.mode, self.fields, self.digest, self.confirm_missing)


_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def is_json(body: bytes | None, headers: Mapping[str, str], *, is_post: bool) -> bool:
    """Tell whether a client speaks JSON: by what it sends, else by what it accepts; None is a body that was
    not read."""
    if "application/json" in (headers.get("accept") or ""):
        return True
    if not is_post:
        return False
    content_type = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    if content_type == "application/json":
        return True
    if body is None:
        return content_type not in _FORMS
    start = body.lstrip()[:1]
    return start in (b"", b"{", b"[")


def wish_from_query(query: Mapping[str, str]) -> Wish:
    """Read `?mode=` of the confirm page. Raises BadBody."""
    problems: list[str] = []
    mode = _mode(query.get("mode"), problems)
    _raise(problems)
    return Wish(mode, dry_run=True, confirm_missing=query.get("confirm_missing") == "1")


def wish_from_json(body: bytes) -> Wish:
    """Raises BadBody naming everything that is wrong."""
    data = read_keys(body, _KEYS)
    mode, fields = mode_and_fields(data)
    return Wish(mode, bool(data.get("dry_run")), fields, data.get("plan"), bool(data.get("confirm_missing")))


def read_keys(body: bytes, keys: Keys) -> dict[str, Any]:
    """Return a JSON body that has none but these keys, those of a mode and fields among them. Raises BadBody
    naming everything that is wrong."""
    data = _object(body)
    problems: list[str] = []
    unknown = [key for key in data if key not in keys]
    if unknown:
        problems.append(f"Invalid keys: {', '.join(sorted(unknown))}")
    for key, (is_right, kind) in keys.items():
        if key in data and not is_right(data[key]):
            problems.append(f"{key} must be {kind}")
    problems.extend(text for text in _mode_and_field_problems(data) if text not in problems)
    _raise(problems)
    return data


def mode_and_fields(data: Mapping[str, Any]) -> tuple[Mode, tuple[str, ...] | None]:
    """Return what a body says about mode and fields. Raises BadBody."""
    _raise(_mode_and_field_problems(data))
    fields = None if data.get("fields") is None else tuple(data["fields"])
    return Mode.REFRESH if data.get("refresh") else _mode(data.get("mode"), []), fields


def _mode_and_field_problems(data: Mapping[str, Any]) -> list[str]:
    """Judge them whatever their types are."""
    problems: list[str] = []
    _mode(data.get("mode"), problems)
    if data.get("refresh") is True and data.get("mode") not in (None, Mode.REFRESH.value):
        problems.append("refresh and mode contradict each other")
    fields = data.get("fields")
    return [*problems, *_unknown_fields(fields if fields and _is_name_list(fields) else ())]


def require_empty(body: bytes) -> None:
    """Take a JSON body that has nothing to say. Raises BadBody."""
    unknown = _object(body)
    _raise([f"Invalid keys: {', '.join(sorted(unknown))}"] if unknown else [])


def _object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        data = json.loads(body, object_pairs_hook=_without_repeated_keys)
    except BadBody:
        raise
    except (ValueError, RecursionError) as error:
        raise BadBody(["Invalid JSON"]) from error
    if not isinstance(data, dict):
        raise BadBody(["JSON must be a dictionary"])
    return data


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Take no body of which a reader could see another half than we do. Raises BadBody."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise BadBody([f"Repeated keys: {', '.join(sorted(key for key in found if counts[key] > 1))}"])
    return found


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_name_list(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


Keys = Mapping[str, tuple[Callable[[object], bool], str]]  # what a key's value must be, and how to say so
MODE_AND_FIELDS: Keys = {
    "mode": (_is_text, "one of scan, refresh, reset"),
    "refresh": (_is_switch, "true or false"),
    "fields": (_is_name_list, "a list of field names"),
}
TEXT, COUNT = (_is_text, "a text"), (_is_count, "a whole number")
_KEYS: Keys = {
    **MODE_AND_FIELDS,
    "dry_run": (_is_switch, "true or false"),
    "plan": (_is_text, "the digest of a plan"),
    "confirm_missing": (_is_switch, "true or false"),
}


def wish_from_form(body: bytes) -> Wish:
    """Read the confirm page's form: one with every offered field chosen is a whole run. Raises BadBody."""
    form = read_form(body, _FORM_KEYS)
    problems: list[str] = []
    mode = _mode(form.get("mode", [None])[0], problems)
    chosen, offered = form.get("fields", []), form.get("offered", [])
    problems.extend(_unknown_fields(chosen))
    _raise(problems)
    deselected = frozenset(offered) - frozenset(chosen)
    digest = form.get("plan", [""])[0] or None
    confirm_missing = form.get("confirm_missing", [""])[0] == "1"
    return Wish(mode, False, tuple(chosen) if deselected else None, digest, confirm_missing, deselected)


def read_form(body: bytes, keys: Collection[str]) -> dict[str, list[str]]:
    """Return the fields of a form that has none but these keys. Raises BadBody."""
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=1000)
    except ValueError as error:
        raise BadBody(["Invalid form"]) from error
    unknown = sorted(set(form) - set(keys))
    _raise([f"Invalid keys: {', '.join(unknown)}"] if unknown else [])
    return form


_FORM_KEYS = {"mode", "plan", "fields", "offered", "confirm_missing"}


def _mode(text: str | None, problems: list[str]) -> Mode:
    try:
        return Mode.SCAN if text is None else Mode(text)
    except ValueError:
        problems.append("mode must be one of scan, refresh, reset")
        return Mode.SCAN


def _unknown_fields(names: list[str] | tuple[str, ...]) -> list[str]:
    return [f"Unknown field: {name}" for name in names if name not in BY_NAME]


def _raise(problems: list[str]) -> None:
    if problems:
        raise BadBody(problems)
