"""What the jobs' networks have in common: arrays of the CMO/HfOx card, and how weights are placed in their window."""

from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Key

import hfsim
from hfsim.crossbar import ADC, DAC, CrossbarDesign
from hfsim.draws import stream
from hfsim.nn import FillWindow, Periphery
from models import MLP
from training.pulsed.names import FLOAT
from training.pulsed.rules import RETENTION

INPUT_BITS, OUTPUT_BITS = 7, 9
"""Of the converters of training, as usual in the literature on the card's rules."""


def array_options(rule: str, fill: float, analog: bool) -> dict[str, Any]:
    """Options of analogue layers under a rule; in floating point they multiply exactly.

    Args:
        rule: one of `training.pulsed.names.RULES`.
        fill: weight that the largest initial one becomes.
        analog: whether products go through converters and read noise, there and back.
    """
    if rule == FLOAT:
        return {"scale": None}
    scale = FillWindow(fraction=fill)
    return {"scale": scale, "periphery": periphery() if analog else None}


def perceptron(sizes: tuple[int, ...], rule: str, fill: tuple[float, ...], analog: bool, key: Key[Array, ""]) -> MLP:
    """A perceptron of sigmoids under a rule; `fill` has a number for each layer."""
    network = MLP(
        sizes,
        initial_spread=None,
        activation=jax.nn.sigmoid,
        norm=None,
        use_bias=True,
        rngs=nnx.Rngs(params=stream(key, "initial weights")),
        **array_options(rule, fill[0], analog),
    )
    if rule != FLOAT:
        for layer, own in zip(network.layers, fill, strict=True):
            layer.array.hold(layer.array.matrix, FillWindow(fraction=own))
    return network


def periphery() -> Periphery:
    """The card's array with the converters of training and the read noise of 1 s."""
    card = hfsim.load_card(RETENTION)
    design = CrossbarDesign.from_card(card)
    bound = design.output_range * design.encoding.gain * design.V_read
    return Periphery.from_card(card, dac=DAC(bits=INPUT_BITS), adc=ADC(bits=OUTPUT_BITS, range=bound))
