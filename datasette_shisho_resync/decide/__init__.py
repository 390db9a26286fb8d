"""Decide what a run changes: snapshot + layers + mode -> decisions -> plan. Pure: no I/O, no SQL."""

from __future__ import annotations

from .decisions import Candidate as Candidate
from .decisions import Decision as Decision
from .decisions import Record as Record
from .decisions import as_change as as_change
from .decisions import decide_record as decide_record
from .decisions import derived_source as derived_source
from .decisions import effective_source as effective_source
from .decisions import judge as judge
from .plans import change_to_json as change_to_json
from .plans import chosen_with as chosen_with
from .plans import limited as limited
from .plans import make_plan as make_plan
