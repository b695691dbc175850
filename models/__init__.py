"""Networks in flax, built from hfsim.nn."""

from models.char_lstm import CharLSTM as CharLSTM
from models.mlp import MLP as MLP
