"""Networks in flax, built from hfsim.nn."""

from models.mlp import MLP as MLP
