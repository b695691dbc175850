"""Chips whose devices are spread: words through the transfer line into a network, differentiable in the spreads.

A word of code n has n minimum FeCAPs that hold a one, each with its own 2 P_r and E_c, one memristor with its own V_C
and one transistor. Of a chip,

    q = sum of x_i,   ln e = sum x_i ln e_i / sum x_i      relative charges and coercive fields of the n ones
    V_TL = V(q, e),   I_cc = I(V_TL - (V_T0 - nominal), V_C),   G = I_cc/V_C

q is what the line sees of the charges exactly, e what it sees of the coercive fields to first order, as all cells of a
line feel one field. V and I are solved once, on Chebyshev nodes; `solve_cells` solves every line with its own cells,
and shows what that leaves out.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key
from numpy.polynomial import chebyshev

from hfsim.circuits.transfer_line import MSB_CELLS, TransferLine, code_bits
from hfsim.devices.pulse import Pulse
from hfsim.devices.variability import (
    AbstractDistribution,
    ChipPart,
    Correlation,
    LogNormal,
    Normal,
    Population,
    RelativeNormal,
)
from hfsim.draws import stream
from hfsim.hybrid.words import CODES, code, negative
from hfsim.parameters import PhysicalModel, parameter
from models.mlp import EPSILON

CHIP_SHARE = 0.25
"""Share of each variance that all devices of a chip have in common. Chosen: spreads between chips of half of the whole;
the article measured one chip."""
SMOOTH = 0.2
"""Width of the sigmoid of the margin that stands for "right", in logits of variance 1. Chosen: a tenth of the usual
margin of 2, so that one image in twenty has a slope."""
FILAMENT_RANGE = (0.65, 1.34)
"""V_C over the nominal one, beyond which devices are set to its ends: at 1.36 the published drive reaches none."""
_CELLS = int(sum(MSB_CELLS))


class Spreads(PhysicalModel):
    """The specification: standard deviations over all devices of all chips, and one correlation."""

    P_r: Float[Array, ""] = parameter(
        unit="1", bounds=(2e-3, 0.3), doc="relative, of 2 P_r of a minimum cell", logarithmic=True
    )
    E_c: Float[Array, ""] = parameter(unit="1", bounds=(2e-3, 0.3), doc="of ln E_c of a minimum cell", logarithmic=True)
    V_C: Float[Array, ""] = parameter(unit="1", bounds=(5e-4, 0.15), doc="of ln V_C of a memristor", logarithmic=True)
    correlation: Float[Array, ""] = parameter(
        unit="1", bounds=(-0.95, 0.95), doc="between the normals of P_r and E_c of one cell", default=0.0
    )


class Devices(PhysicalModel):
    """What differs between the devices of a chip; nominal as it is made."""

    P_r: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 3.0), doc="over the nominal one", default=1.0)
    E_c: Float[Array, "..."] = parameter(unit="1", bounds=(0.3, 3.0), doc="over the nominal one", default=1.0)
    V_C: Float[Array, "..."] = parameter(unit="1", bounds=FILAMENT_RANGE, doc="over the nominal one", default=1.0)
    V_T: Float[Array, "..."] = parameter(unit="V", bounds=(-0.5, 0.5), doc="above the nominal one", default=0.0)


def draw(
    spreads: Spreads | None,
    threshold: Float[Array, ""],
    shape: tuple[int, ...],
    key: Key[Array, ""],
    *,
    cells: Float[Array, "..."] | float = 1.0,
    share: Float[Array, ""] | float = CHIP_SHARE,
) -> Devices:
    """The devices of one chip.

    Args:
        spreads: of FeCAPs and memristors; None leaves them nominal.
        threshold: standard deviation of the transistors' thresholds [V], all of it between devices.
        shape: of the devices.
        key: the chip.
        cells: minimum cells in parallel in each FeCAP.
        share: of the variances of `spreads`, what is the chip's.
    """
    chosen: dict[str, AbstractDistribution] = {"V_T": Normal(threshold)}
    correlations, chip = (), {}
    if spreads is not None:
        chosen |= {"P_r": RelativeNormal(spreads.P_r), "E_c": LogNormal(spreads.E_c), "V_C": LogNormal(spreads.V_C)}
        correlations = (Correlation.pair("P_r", "E_c", spreads.correlation),)
        share, cells = jnp.asarray(share), jnp.asarray(cells)
        chip = {"P_r": ChipPart(share, cells), "E_c": ChipPart(share, cells), "V_C": ChipPart(share)}
    return Population(Devices(), chosen, correlations, chip=chip).sample(shape, key)


class Surface(eqx.Module):
    """A smooth function of two variables by its Chebyshev series; beyond its domain the nearest end holds.

    `series` holds the coefficients of the function and of both its slopes, so that a gradient costs two more sums and
    keeps two numbers a point. It is a constant: nothing differentiates the coefficients.
    """

    series: Float[Array, "3 m n"]
    low: tuple[float, float] = eqx.field(static=True)
    high: tuple[float, float] = eqx.field(static=True)

    @classmethod
    def solve(cls, function: Any, low, high, nodes: tuple[int, int]) -> "Surface":
        """Interpolate `function` of two arrays of one shape at Chebyshev nodes of the box [low, high]."""
        place = [np.cos(np.pi * (np.arange(n) + 0.5) / n) for n in nodes]
        axes = [a + (b - a) * (x + 1) / 2 for a, b, x in zip(low, high, place, strict=True)]
        grid = (jnp.asarray(x, jnp.result_type(float)) for x in np.meshgrid(*axes, indexing="ij"))
        values = np.asarray(eqx.filter_jit(function)(*grid))
        left, right = (np.linalg.inv(chebyshev.chebvander(x, len(x) - 1)) for x in place)
        found = left @ values @ right.T
        slopes = [
            np.pad(chebyshev.chebder(found, axis=axis, scl=2 / (high[axis] - low[axis])), pad)
            for axis, pad in ((0, ((0, 1), (0, 0))), (1, ((0, 0), (0, 1))))
        ]
        return cls(jnp.asarray(np.stack([found, *slopes]), values.dtype), tuple(low), tuple(high))

    def __call__(self, x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        @jax.custom_jvp
        def value(x, y):
            return self._sums(x, y, 1)[0]

        @value.defjvp
        def slope(primals, tangents):
            found = self._sums(primals[0], primals[1], 3)
            return found[0], found[1] * tangents[0] + found[2] * tangents[1]

        (left, bottom), (right, top) = self.low, self.high
        x, y = jnp.broadcast_arrays(jnp.clip(x, left, right), jnp.clip(y, bottom, top))
        return value(x, y)

    def _sums(self, x, y, number: int) -> list[Float[Array, "*shape"]]:
        """The first `number` of the three series."""
        bases = []
        for value, low, high, count in zip((x, y), self.low, self.high, self.series.shape[1:], strict=True):
            place = (2 * value - low - high) / (high - low)
            terms = [jnp.ones_like(place), place]
            for _ in range(count - 2):
                terms.append(2 * place * terms[-1] - terms[-2])
            bases.append(terms)
        outer, inner = bases

        def total(coefficients):  # sums of arrays fuse into one loop, where a product of matrices would not
            rows = (sum(c * t for c, t in zip(row, inner, strict=True)) for row in coefficients)
            return sum((row * t for row, t in zip(rows, outer, strict=True)), jnp.zeros_like(x))

        return [total(coefficients) for coefficients in self.series[:number]]


CHARGE_REACH = 12.6
"""Charge that the surface knows, in minimum cells: 1.8 times that of code 7."""
FIELD_REACH = 1.1
"""Largest |ln e| of the surface: a third to three times E_c."""
VOLTAGE_RANGE = (0.5, 3.3)
"""Line voltages [V] of the surface of currents; those of the levels lie in 0.7..2.8 V."""
NODES = (16, 10), (32, 10)
"""Of the surfaces of V_TL and of G; chosen: errors below 0.15 uS within three deviations (tested), 0.02 uS in the root
of the mean square."""


class Levels(eqx.Module):
    """Conductance of a programmed memristor as a function of its devices."""

    voltage: Surface
    conductance: Surface

    @classmethod
    def solve(cls, line: TransferLine) -> "Levels":
        """Solve the circuit of `line` on the nodes."""

        def voltage(q, log_e):
            kinetics: Any = line.capacitor.kinetics
            spread = eqx.tree_at(lambda x: x.capacitor.kinetics.b, line, (kinetics.b * jnp.exp(log_e))[..., None])
            return spread.line_voltage(q * line.capacitor.switching_charge)

        def conductance(V_TL, V_C):
            spread = with_filament(line, V_C)
            return spread.memristor.mean_conductance(spread.compliance_current(V_TL))

        reached = Surface.solve(voltage, (0.0, -FIELD_REACH), (CHARGE_REACH, FIELD_REACH), NODES[0])
        low, high = zip(VOLTAGE_RANGE, FILAMENT_RANGE, strict=True)
        return cls(reached, Surface.solve(conductance, low, high, NODES[1]))

    def __call__(self, q, log_e, V_C, V_T) -> Float[Array, "*shape"]:
        """G [uS] of stored charge q [minimum cells], ln e, V_C over nominal, and threshold V_T [V] above nominal."""
        q, log_e, V_C, V_T = (jnp.asarray(x, self.voltage.series.dtype) for x in (q, log_e, V_C, V_T))
        return self.conductance(self.voltage(q, log_e) - V_T, V_C)


def with_filament(line: TransferLine, V_C) -> TransferLine:
    """The line with memristors of `V_C` over the nominal one."""
    return eqx.tree_at(lambda x: x.memristor.V_C, line, line.memristor.V_C * V_C)


class Words(NamedTuple):
    """A trained network: the 10-bit words of each layer."""

    layers: tuple[Float[Array, "inputs outputs"], ...]

    @property
    def codes(self) -> Float[Array, " weights"]:
        """Codes of all words, layer after layer."""
        return jnp.concatenate([jnp.ravel(code(words)) for words in self.layers])


class Chips(eqx.Module):
    """A network on chips, and the images that they are judged by."""

    line: TransferLine
    levels: Levels
    words: Words
    images: Float[Array, "images pixels"]
    labels: Int[Array, " images"]
    span: Float[Array, ""]  # conductance [uS] of a weight of 1
    own: Float[Array, ""]  # transfer spread [uS] beside that of the devices
    share: Float[Array, ""]  # of the variances, what is the chip's

    @classmethod
    def make(
        cls, line: TransferLine, words: Words, images, labels, levels: Levels, *, own=0.0, share=CHIP_SHARE
    ) -> "Chips":
        """On the solved `levels` of `line`; `own` [uS] is a spread of the conductances beside that of the devices."""
        images, labels = jnp.asarray(images), jnp.asarray(labels)
        span = (levels(float(CODES - 1), 0.0, 1.0, 0.0) - levels(0.0, 0.0, 1.0, 0.0)) * CODES / (CODES - 1)
        own, share = (jnp.asarray(x, jnp.result_type(float)) for x in (own, share))
        return cls(line, levels, words, images, labels, span, own, share)

    def conductances(self, spreads: Spreads | None, key: Key[Array, ""]) -> Float[Array, " weights"]:
        """Of the programmed memristor of each weight [uS], on the chip `key`."""
        codes = self.words.codes
        cells = jnp.maximum(codes, 1.0)
        threshold = self.line.transistor.threshold_spread
        devices = draw(spreads, threshold, codes.shape, key, cells=cells, share=self.share)
        G = self.levels(codes * devices.P_r, jnp.log(devices.E_c), devices.V_C, devices.V_T)
        return G + self.own * jax.random.normal(stream(key, "transfer"), G.shape, G.dtype)

    def logits(self, conductances: Float[Array, " weights"]) -> Float[Array, "images classes"]:
        """Of the network whose programmed memristors have these conductances [uS], the twins that of RESET."""
        x, begin = self.images.astype(conductances.dtype), 0
        for number, words in enumerate(self.words.layers):
            G = conductances[begin : begin + words.size].reshape(words.shape)
            begin += words.size
            weights = jnp.where(negative(words), -1.0, 1.0) * (G - self.line.memristor.G_reset) / self.span
            x = x @ weights
            x = (x - jnp.mean(x, axis=-1, keepdims=True)) * jax.lax.rsqrt(jnp.var(x, axis=-1, keepdims=True) + EPSILON)
            if number < len(self.words.layers) - 1:
                x = jax.nn.relu(x)
        return x

    def told(self, conductances: Float[Array, " weights"]) -> Bool[Array, " images"]:
        """Which images a chip of these conductances [uS] tells right."""
        return jnp.argmax(self.logits(conductances), axis=-1) == self.labels

    def right(self, conductances: Float[Array, " weights"]) -> Int[Array, ""]:
        """How many."""
        return jnp.sum(self.told(conductances))

    def smooth_accuracy(self, spreads: Spreads | None, key: Key[Array, ""]) -> Float[Array, ""]:
        """Share told right, with sigmoid[(logit of the label - largest other)/SMOOTH] for each image."""
        logits = self.logits(self.conductances(spreads, key))
        named = jax.nn.one_hot(self.labels, logits.shape[-1], dtype=bool)
        right = jnp.sum(jnp.where(named, logits, 0.0), axis=-1)
        other = jnp.max(jnp.where(named, -jnp.inf, logits), axis=-1)
        return jnp.mean(jax.nn.sigmoid((right - other) / SMOOTH))


class Solved(NamedTuple):
    """Conductances [uS] of a chip's words by the full circuit, and by the surfaces with the same cells."""

    full: Float[Array, " weights"]
    surface: Float[Array, " weights"]


@eqx.filter_jit
def solve_cells(chips: Chips, spreads: Spreads, key: Key[Array, ""], tile: int = 512) -> Solved:
    """A chip cell by cell: every line is solved with its own seven FeCAPs, memristor and transistor.

    `tile` lines are solved at once.
    """
    line, codes = chips.line, chips.words.codes
    kinetics: Any = line.capacitor.kinetics
    number, threshold = codes.size, chips.line.transistor.threshold_spread
    cells = draw(spreads, threshold, (number, _CELLS), key, share=chips.share)
    # of this draw V_C and V_T are used, of the other P_r and E_c, so that each part of the chip is drawn once
    others = draw(spreads, threshold, (number,), stream(key, "memristors"), share=chips.share)
    ones = jnp.repeat(code_bits(codes), np.array(MSB_CELLS), axis=-1, total_repeat_length=_CELLS)

    def voltage(one):
        P_r, E_c, ones = one
        capacitor = eqx.tree_at(
            lambda c: (c.P_r, c.kinetics.b),
            line.capacitor,
            (line.capacitor.P_r * P_r, kinetics.b * E_c),
        )
        start = capacitor.init(ones.shape, up=1 - ones)
        return line.line.share(capacitor, start, Pulse(line.drive.V_SL, line.drive.width))[1]

    V_TL = jax.lax.map(voltage, (cells.P_r, cells.E_c, ones), batch_size=tile)
    filaments = with_filament(line, others.V_C)
    transistor = eqx.tree_at(lambda t: t.V_T0, line.transistor, line.transistor.V_T0 + others.V_T)
    full = filaments.memristor.mean_conductance(filaments.compliance_current(V_TL, transistor))
    q = jnp.sum(ones * cells.P_r, axis=-1)
    log_e = jnp.sum(ones * cells.P_r * jnp.log(cells.E_c), axis=-1) / jnp.maximum(q, 1e-6)
    return Solved(full, chips.levels(q, log_e, others.V_C, others.V_T))


def published_filament(line: TransferLine, levels: Levels, spreads: Spreads, share: float = CHIP_SHARE):
    """Spread of ln V_C with which the levels spread as published, in the root of the mean square over codes 1 to 7.

    First order: sigma_set^2 = mean of (dG/dq)^2 Var q + (dG/de)^2 Var e + (dG/dV_C)^2 s^2, less the thresholds'. At a
    given current the filament's own spread is that of V_C, so that nothing is left for another one.
    """
    codes = jnp.arange(1.0, CODES)
    nominal = (codes, jnp.zeros_like(codes), jnp.ones_like(codes), jnp.zeros_like(codes))
    by = []
    for place in range(4):
        tangent = [jnp.ones_like(x) if i == place else jnp.zeros_like(x) for i, x in enumerate(nominal)]
        by.append(jax.jvp(levels.__call__, nominal, tuple(tangent))[1])
    own = share + (1 - share) / codes
    known = (by[0] * codes * spreads.P_r) ** 2 * own + (by[1] * spreads.E_c) ** 2 * own
    known = known + (by[3] * line.transistor.threshold_spread) ** 2
    left = line.memristor.sigma_set**2 - jnp.mean(known)
    return jnp.sqrt(left / jnp.mean(by[2] ** 2))
