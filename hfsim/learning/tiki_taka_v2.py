"""Tiki-Taka v2: what is read of the fast array goes to the buffer as it is.

    H <- H + r v

The symmetry point of every device of A must read 0: an error of the reference drives H forever.

T. Gokmen, Front. Artif. Intell. 4, 699148 (2021).
"""

from hfsim.learning.buffered_transfer import AbstractBufferedTransfer


class TikiTakaV2(AbstractBufferedTransfer):
    """Two arrays and a buffer."""

    def start_of_rule(self, shape):
        return ()

    def received(self, of_rule, read):
        return of_rule, read.v
