"""c-TTv2: Tiki-Taka v2 with a chopper, that turns the sign of what A means now and then.

    A gets c x delta^T,    H <- H + r c v,    after a read the row's sign c turns with probability p

What is wrong with the reference is in v whatever c is, and so is added and taken away in turn.

M. J. Rasch, F. Carta, O. Fagbohungbe, T. Gokmen, Nat. Commun. 15, 7133 (2024).
"""

from dataclasses import KW_ONLY

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.learning.buffered_transfer import AbstractBufferedTransfer
from hfsim.parameters import parameter


class ChoppedTikiTaka(AbstractBufferedTransfer):
    """Two arrays, a buffer and a chopper for each row."""

    _: KW_ONLY
    probability: Float[Array, ""] = parameter(
        unit="1", bounds=(0.0, 1.0), doc="probability that a row's sign turns after a read", default=0.1
    )

    def start_chopper(self, rows):
        return jnp.ones(rows)

    def start_of_rule(self, shape):
        return ()

    def signs(self, chopper):
        return chopper

    def turned(self, chopper, key):
        return jnp.where(jax.random.bernoulli(key, self.probability), -chopper, chopper)

    def received(self, of_rule, read):
        return of_rule, read.chopper * read.v
