"""hfsim: hybrid FeCAP/memristor chips, from a pulse to a network, differentiably."""

from importlib.metadata import version as _version

from hfsim.cards import Card as Card
from hfsim.cards import available_cards as available_cards
from hfsim.cards import load_card as load_card
from hfsim.cards import write_card as write_card
from hfsim.citation import citation as citation
from hfsim.errors import InputError as InputError
from hfsim.parameters import bounded as bounded
from hfsim.parameters import free as free
from hfsim.parameters import parameters as parameters

__version__ = _version("hfsim")
