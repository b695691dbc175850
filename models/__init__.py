"""Networks in flax: those of the chip are built from hfsim.nn, those frozen beside it from flax's own layers."""

from models.char_lstm import CharLSTM as CharLSTM
from models.convolutional import ConvolutionalNetwork as ConvolutionalNetwork
from models.mlp import MLP as MLP
