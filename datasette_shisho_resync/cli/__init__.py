"""`datasette shisho`: a thin shell around the service; nothing is decided here.

Datasette loads this package at each start, so that only the group is imported, and a command's
module when it is called.
"""

from .group import shisho as shisho
