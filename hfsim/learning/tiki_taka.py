"""Tiki-Taka, the first version: rows of the fast array are sent to the slow one as pulses at once.

    C gets outer(row, r v) as a train of pulses,    weights = C + gamma A

Every reading moves C, noise and all: it wants more states of its devices than the buffered forms.

T. Gokmen, W. Haensch, Front. Neurosci. 14, 103 (2020).
"""

from dataclasses import KW_ONLY

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.draws import event_hash, stream
from hfsim.learning.row_transfer import AbstractRowTransfer
from hfsim.parameters import parameter


class TikiTaka(AbstractRowTransfer):
    """Two arrays; `gamma` is the share of the fast one in the weights."""

    _: KW_ONLY
    gamma: Float[Array, ""] = parameter(
        unit="1", bounds=(0.0, 1e3), doc="factor of the fast array in the weights", default=0.0
    )

    def start_memory(self, shape):
        return ()

    def collected(self, memory, read, rate, key):
        row = jnp.ones((1,), read.v.dtype)
        # the row's train goes against -v, as a gradient's would
        rows, columns = self.train.lines(row, -read.v, rate, stream(key, "trains"), 0)
        counts = self.train.counts(rows, columns, event_hash(stream(key, "counts"), 0, (1, read.v.shape[0])))
        return memory, counts[0].astype(read.v.dtype)

    def weight(self, array):
        return self.slow.weight(array.slow.devices) + self.gamma * self.fast.weight(array.fast.devices)
