"""The periphery of an array as a card describes it: window, read voltage, converters, wires."""

from typing import Any

import jax
from jax.core import Tracer
from jaxtyping import Array, Float

from hfsim.cards import Card
from hfsim.circuits.converters import ADC, DAC
from hfsim.circuits.wires import Wires
from hfsim.crossbar.encoding import AbstractEncoding, Differential, SingleEnded
from hfsim.crossbar.kernel import Kernel
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter


class CrossbarDesign(PhysicalModel):
    """The section `[crossbar]` of a card, from which a kernel can be built."""

    G_min: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 1e5), doc="least conductance that weights use")
    G_max: Float[Array, ""] = parameter(unit="uS", bounds=(1e-6, 1e6), doc="largest conductance that weights use")
    devices_per_weight: Float[Array, ""] = parameter(unit="1", bounds=(1.0, 2.0), doc="1: single-ended; 2: a pair")
    V_read: Float[Array, ""] = parameter(unit="V", bounds=(1e-6, 10.0), doc="voltage of a full-scale input")
    input_bits: Float[Array, ""] = parameter(unit="1", bounds=(2.0, 24.0), doc="bits of an input, sign included")
    output_bits: Float[Array, ""] = parameter(unit="1", bounds=(2.0, 24.0), doc="bits of an output, sign included")
    output_range: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-3, 1e6), doc="last code of an output over full-scale input x full-scale weight"
    )
    r_wl: Float[Array, ""] = parameter(unit="ohm", bounds=(0.0, 1e6), doc="segment of a word line")
    r_bl: Float[Array, ""] = parameter(unit="ohm", bounds=(0.0, 1e6), doc="segment of a bit line")

    def __check_init__(self):
        for name in ("devices_per_weight", "input_bits", "output_bits"):
            value = getattr(self, name)
            if not isinstance(value, Tracer) and float(value) != round(float(value)):
                raise InputError(f"CrossbarDesign.{name}", "be a whole number", float(value))

    @classmethod
    def from_card(cls, card: Card) -> "CrossbarDesign":
        """The design of a card.

        Raises:
            InputError: the card has no section `[crossbar]`.
        """
        if "crossbar" not in card.sections:
            remedy = "add one, or take cmo-hfox-2025, wan-2022-reram or pcm-nandakumar-2019"
            raise InputError("card", "describe an array in a section [crossbar]", repr(card.name), remedy)
        with jax.ensure_compile_time_eval():  # numbers of a card stay numbers inside jit: bits are static
            return card.build(cls, "crossbar")

    @property
    def encoding(self) -> AbstractEncoding:
        """One device per weight, or two."""
        kind = SingleEnded if float(self.devices_per_weight) < 1.5 else Differential
        return kind(G_min=self.G_min, G_max=self.G_max)

    @property
    def wires(self) -> Wires:
        """The array's lines."""
        return Wires(r_wl=self.r_wl, r_bl=self.r_bl)

    def kernel(
        self, *, encoding: AbstractEncoding | None = None, wires: Wires | bool = False, **options: Any
    ) -> Kernel:
        """A kernel with these converters; `wires` True adds the card's lines, `options` replace what is here.

        Args:
            encoding: in place of the design's.
            wires: whether to solve for the lines' resistance; `Wires` in place of the card's.
            options: of `Kernel`.
        """
        encoding = self.encoding if encoding is None else encoding
        described = {
            "dac": DAC(bits=int(self.input_bits)),
            "adc": ADC(bits=int(self.output_bits), range=self.output_range * encoding.gain * self.V_read),
            "V_read": self.V_read,
            "wires": wires if isinstance(wires, Wires) else self.wires if wires else None,
        }
        return Kernel(encoding=encoding, **{**described, **options})
