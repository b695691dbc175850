"""AGAD: the fast array's reference is found while it learns.

The chopper of each row turns after n reads. While it stands, the mean of what is read is followed,

    mu <- (1 - b) mu + b v,    b = min(5/n, 1)

and when it turns, mu becomes the reference of the period that begins:

    H <- H + r c (v - mu_ref),    mu_ref = mu at the last turn

With the sign turned, the gradient's part of v changes sign and the symmetry point's does not, so v - mu_ref holds twice
the gradient and no offset: devices need no calibrated reference. C gets nothing in a row's first period, in which
mu_ref is not known.

M. J. Rasch, F. Carta, O. Fagbohungbe, T. Gokmen, Nat. Commun. 15, 7133 (2024); used on chip by Falcone et al., Adv.
Funct. Mater. (2025), doi 10.1002/adfm.202504688.
"""

from dataclasses import KW_ONLY
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hfsim.errors import InputError
from hfsim.learning.buffered_transfer import AbstractBufferedTransfer


class Chopper(NamedTuple):
    """Of each row: its sign, its reads since the sign turned, and its turns."""

    sign: Float[Array, "..."]
    reads: Int[Array, "..."]
    turns: Int[Array, "..."]


class Reference(NamedTuple):
    """Of each device: the mean of what is read, and the reference."""

    mean: Float[Array, "... outputs"]
    reference: Float[Array, "... outputs"]


class AGAD(AbstractBufferedTransfer):
    """Two arrays, a buffer, and a chopper of `reads_per_period` reads whose turns renew the reference."""

    _: KW_ONLY
    reads_per_period: int = eqx.field(static=True, default=10)

    def __check_init__(self):
        reads = self.reads_per_period
        if not isinstance(reads, int) or isinstance(reads, bool) or reads < 1:
            raise InputError("reads_per_period", "be an integer >= 1", repr(reads))

    def start_chopper(self, rows):
        none = jnp.zeros(rows, jnp.int32)
        return Chopper(jnp.ones(rows), none, none)

    def start_of_rule(self, shape):
        return Reference(jnp.zeros(shape), jnp.zeros(shape))

    def signs(self, chopper):
        return chopper.sign

    def turned(self, chopper, key):
        reads = chopper.reads + 1
        turn = reads == self.reads_per_period
        sign = jnp.where(turn, -chopper.sign, chopper.sign)
        return Chopper(sign, jnp.where(turn, 0, reads), chopper.turns + turn.astype(jnp.int32))

    def received(self, of_rule, read):
        reference = jnp.where(read.chopper.reads == 0, of_rule.mean, of_rule.reference)
        signal = jnp.where(read.chopper.turns > 0, read.chopper.sign * (read.v - reference), 0.0)
        b = min(5 / self.reads_per_period, 1.0)
        return Reference((1 - b) * of_rule.mean + b * read.v, reference), signal
