"""How a library looks in Datasette: `metadata.yml` and `templates/`, which the top of a checkout links to.

They lie in the package so that there is one copy, which an installed plugin has too.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
METADATA = _HERE / "metadata.yml"
TEMPLATES = _HERE / "templates"
