"""Undo of a recorded run in the database: checked against the rows as they are, then put back."""

from .cells import FILE_FIELDS as FILE_FIELDS
from .cells import PATH as PATH
from .restoring import Undo as Undo
