"""What stands around the devices of a layer: the crossbar's kernel, the noise of reads, the size of an array.

A layer without a periphery multiplies exactly. With one its product is that of `hfsim.crossbar`: weights become
conductances by the kernel's encoding, inputs pass its converters, wires and noise, and, where a matrix is larger than
an array, tiles add their outputs in numbers. What comes back to the inputs is as the kernel's `backward` says; on the
chip ("analog") it is the transposed product through the same cells.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.cards import Card, load_card
from hfsim.circuits.wires import Wires
from hfsim.crossbar import Cells, CrossbarDesign, IterativeBound, Kernel, LargestInput, Mapping, multiply
from hfsim.crossbar.encoding import AbstractEncoding
from hfsim.errors import InputError
from hfsim.nn.read_noise import AbstractReadNoise, read_noise


class Periphery(eqx.Module):
    """The surroundings of a layer's devices.

    Args:
        kernel: converters, encoding, wires, way back.
        noise: of one read of each device; None for none.
        tile: (inputs, outputs) of one array; None takes one array for the whole matrix.
    """

    kernel: Kernel
    noise: AbstractReadNoise | None = None
    tile: tuple[int, int] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if not isinstance(self.kernel, Kernel):
            raise InputError("kernel", "be a hfsim.crossbar.Kernel", repr(self.kernel))
        if self.noise is not None and not isinstance(self.noise, AbstractReadNoise):
            raise InputError("noise", "be an AbstractReadNoise or None", repr(self.noise))
        Mapping(self.kernel.encoding, self.tile)  # refuses a tile that is none

    @classmethod
    def from_card(
        cls,
        card: Card | str,
        *,
        age: float | None = None,
        tile: tuple[int, int] | None = None,
        encoding: AbstractEncoding | None = None,
        wires: Wires | bool = False,
        **options: Any,
    ) -> "Periphery":
        """The periphery of a card, its read noise included where the card has any.

        Args:
            card: a card, or the name of one, with sections [crossbar] and [retention].
            age: time [s] since programming at which reads are made; None takes the law's default.
            tile: (inputs, outputs) of one array.
            encoding: how weights are held; None as the card says.
            wires: whether to solve for the lines' resistance; `Wires` in place of the card's.
            options: of the kernel; each vector is scaled to its largest input, again while an output saturates, and
                the way back is "analog", unless they say otherwise.

        Raises:
            InputError: a card without these sections, or an age for one without read noise.
        """
        card = load_card(card) if isinstance(card, str) else card
        chosen = {"scaling": LargestInput(), "bound": IterativeBound(), "backward": "analog", **options}
        kernel = CrossbarDesign.from_card(card).kernel(encoding=encoding, wires=wires, **chosen)
        return cls(kernel, read_noise(card, **({} if age is None else {"age": age})), tile)

    def cells(self, w: Float[Array, "inputs outputs"]) -> Cells:
        """The devices that hold weights w: of one array, or of tiles (row_tiles, column_tiles, rows, columns)."""
        encoding = self.kernel.encoding
        G = encoding.targets(w if self.tile is None else Mapping(encoding, self.tile).split(w))
        return Cells(G, None if self.noise is None else self.noise.sigma(G))

    def product(
        self, w: Float[Array, "inputs outputs"], x: Float[Array, "*batch inputs"], key: Key[Array, ""] | None, first
    ) -> Float[Array, "*batch outputs"]:
        """x w as the crossbar computes it; `first` is the number of the first vector."""
        cells = self.cells(w)
        if self.tile is None:
            return self.kernel(cells, x, key, first=first)
        return multiply(self.kernel, cells, jnp.ones(w.shape[-1], w.dtype), x, key, first=first)
