"""What each source offers for a book and its files: readings -> layers. Pure.

Knows which layers a mode admits; which of them wins is decided elsewhere.
"""

from .circumstances import Circumstances as Circumstances
from .covers import is_of_program as is_of_program
from .covers import is_replaced_by_hand as is_replaced_by_hand
from .covers import stored_cover as stored_cover
from .layers import book_sidecar_layer as book_sidecar_layer
from .layers import but_for_later as but_for_later
from .layers import file_layers as file_layers
from .layers import identity_of as identity_of
from .layers import is_part as is_part
from .layers import is_unchanged as is_unchanged
from .layers import sidecar_content as sidecar_content
from .layers import supplement_layers as supplement_layers
