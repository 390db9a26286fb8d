"""A sample library: real files made by code, in a folder that can be removed again.

Knows formats to write and one folder; nothing of SQLite, of Datasette or of how files are read.
"""

from .folder import DATABASE, DemoFolder
from .shelf import BROKEN

__all__ = ["BROKEN", "DATABASE", "DemoFolder"]
