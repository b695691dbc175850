"""Analogue layers for flax nnx."""

from hfsim.nn.linear import AnalogLinear as AnalogLinear
