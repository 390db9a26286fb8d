"""Discovery and bulk work: folders become a library, and a library is brought up to date."""

from .options import Grouping as Grouping
from .options import Progress as Progress
from .options import ScannedFile as ScannedFile
from .options import ScanOptions as ScanOptions
from .options import ScanReport as ScanReport
from .scanning import scan_library as scan_library
