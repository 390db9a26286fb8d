"""One resync: gather, plan, apply, undo. The service behind the command line and the web."""

from .applying import Applied as Applied
from .applying import By as By
from .applying import apply_run as apply_run
from .applying import preview as preview
from .gathering import Ask as Ask
from .gathering import Gathered as Gathered
from .gathering import Gathering as Gathering
from .gathering import find_brief as find_brief
from .planning import Planned as Planned
from .planning import plan_run as plan_run
from .service import Service as Service
from .undoing import Undone as Undone
from .undoing import undo_run as undo_run
