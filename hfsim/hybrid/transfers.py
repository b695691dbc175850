"""Three fidelities of one step: sign and three bits of a word become two conductances.

    G_target = level(code) + spread,  the target being G+ for words of sign +, G- for sign -
    G_twin   = what RESET leaves in the other memristor of the pair

`LinearTransfer` spaces the eight levels evenly; `MeasuredTransfer` uses the published means and their spread,
drawn afresh at each transfer; `CircuitTransfer` computes them from the physics of capacitor, line, transistor
and filament, with mismatch that stays with the device. Each tells `weight_per_uS`, which turns G+ - G- into a
weight of the network: 7/(mu_7 - mu_0) per level, 8 levels to the unit. Martemucci et al., Nature Electronics 8,
921 (2025).
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Key

from hfsim.cards import Card
from hfsim.circuits.transfer_line import MSB_CELLS, TransferLine, code_bits
from hfsim.draws import normal, stream
from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator
from hfsim.hybrid.words import CODES, code, negative
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE


class ConductancePair(NamedTuple):
    """The two conductances [uS] of each weight."""

    plus: Float[Array, "*weights"]
    minus: Float[Array, "*weights"]


class AbstractTransfer(PhysicalModel):
    """How words become conductance pairs.

    `twin_noise` says what the idle twin holds: False, what RESET leaves in the mean (code 0 of the statistical
    transfers), which reproduces the published sigma_W = 0.594; True, a draw of its own. `clip` cuts conductances
    at 0; the published spread of 8.7 uS makes 44 % of code-0 draws negative, and clipping would move their mean
    from 1.4 to 4.2 uS.
    """

    twin_noise: eqx.AbstractVar[bool]
    clip: eqx.AbstractVar[bool]

    def _require_span(self, low, high) -> None:
        if not isinstance(high - low, Tracer) and not high > low:
            raise InputError("levels", "rise from code 0 to code 7", f"{float(low):g} uS to {float(high):g} uS")

    @abc.abstractmethod
    def levels(self) -> Float[Array, " 8"]:
        """Mean conductances [uS] of codes 0..7."""

    @abc.abstractmethod
    def fabricate(self, shape: tuple[int, ...], key: Key[Array, ""], charge: Float[Array, "3 *w"] | None = None) -> Any:
        """What stays with each weight's devices for life: a tree of arrays, None where nothing does.

        `charge` is what the three MSB capacitors deliver over the nominal, where that is known already.
        """

    @abc.abstractmethod
    def target(
        self, codes: Float[Array, "*w"], sign: Bool[Array, "*w"], devices: Any, key: Key[Array, ""]
    ) -> Float[Array, "*w"]:
        """Conductance [uS] of the programmed memristor; `sign` True is the one on the minus side."""

    @abc.abstractmethod
    def twin(self, shape: tuple[int, ...], key: Key[Array, ""]) -> Float[Array, "*w"]:
        """Conductance [uS] of the idle memristor."""

    @property
    def weight_per_uS(self) -> Float[Array, ""]:
        """Weight of the network per uS of G+ - G-: the span of the levels is 7/8."""
        levels = self.levels()
        return (CODES - 1) / CODES / (levels[-1] - levels[0])

    def weights(self, pair: ConductancePair) -> Float[Array, "*w"]:
        """The read-out: weights of the network."""
        return self.weight_per_uS * (pair.plus - pair.minus)

    def plot(self, **options):
        """Histograms of the eight levels: `hfsim.plot.levels`. Returns matplotlib axes."""
        from hfsim.plot import levels  # matplotlib is needed here alone

        return levels(self, **options)

    def program(
        self,
        words: Float[Array, "*w"],
        devices: Any,
        key: Key[Array, ""],
        estimator: AbstractEstimator | None = None,
    ) -> ConductancePair:
        """Transfer words; `key` addresses this transfer, `devices` come from `fabricate`."""
        sign = negative(words)
        target = self.target(code(words, estimator), sign, devices, stream(key, "target"))
        twin = self.twin(words.shape, stream(key, "twin"))
        if self.clip:
            target, twin = jnp.maximum(target, 0.0), jnp.maximum(twin, 0.0)
        return ConductancePair(jnp.where(sign, twin, target), jnp.where(sign, target, twin))


class LinearTransfer(AbstractTransfer):
    """Eight evenly spaced levels, without a spread unless one is given: the ideal the measured one is compared with."""

    low: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 1e3), doc="conductance of code 0")
    high: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 1e3), doc="conductance of code 7")
    sigma: Float[Array, ""] | None = parameter(unit="uS", bounds=(0.0, 100.0), doc="spread of a transfer", default=None)
    twin_noise: bool = eqx.field(static=True, default=False)
    clip: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        self._require_span(self.low, self.high)

    @classmethod
    def from_card(cls, card: Card, **options) -> "LinearTransfer":
        """The ends of the card's measured levels, no spread."""
        mean = card.quantity("levels", "mean", "uS")
        return cls(low=mean[0], high=mean[-1], **options)

    def levels(self):
        return self.low + (self.high - self.low) * jnp.arange(CODES) / (CODES - 1)

    def fabricate(self, shape, key, charge=None):
        return charge

    def target(self, codes, sign, devices, key):
        codes = charged_codes(codes, devices)
        mean = self.low + (self.high - self.low) * codes / (CODES - 1)
        return mean if self.sigma is None else mean + self.sigma * normal(key, codes.shape, codes.dtype)

    def twin(self, shape, key):
        if self.sigma is None or not self.twin_noise:
            return jnp.broadcast_to(self.low, shape)
        return self.low + self.sigma * normal(key, shape, self.low.dtype)


class MeasuredTransfer(AbstractTransfer):
    """The published means of the eight levels and their spread, drawn afresh at each transfer."""

    mean: Float[Array, " 8"] = parameter(unit="uS", bounds=(0.0, 1e3), doc="mean conductance of codes 0 to 7")
    sigma: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 100.0), doc="spread of a transfer")
    twin_noise: bool = eqx.field(static=True, default=False)
    clip: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if eqx.is_array(self.mean) and self.mean.shape != (CODES,):  # the base refuses what is no array
            raise InputError("mean", f"have shape ({CODES},)", f"shape {self.mean.shape}")
        if eqx.is_array(self.mean):
            self._require_span(self.mean[0], self.mean[-1])

    @classmethod
    def from_card(cls, card: Card, **options) -> "MeasuredTransfer":
        """The card's level table."""
        return cls(mean=card.quantity("levels", "mean", "uS"), sigma=card.quantity("levels", "sigma", "uS"), **options)

    def levels(self):
        return self.mean

    def fabricate(self, shape, key, charge=None):
        return charge

    def target(self, codes, sign, devices, key):
        codes = charged_codes(codes, devices)
        return interpolate_levels(self.mean, codes) + self.sigma * normal(key, codes.shape, codes.dtype)

    def twin(self, shape, key):
        noise = self.sigma * normal(key, shape, self.mean.dtype) if self.twin_noise else 0.0
        return jnp.broadcast_to(self.mean[0] + noise, shape)


@eqx.filter_jit
def _solve(line: TransferLine, temperature) -> tuple[Float[Array, " 8"], Float[Array, " 8"]]:
    """Nominal conductances and the deviations that mismatch makes [uS]: one program for all lines of a kind."""
    bits = code_bits(jnp.arange(CODES))
    charge = line.switchable_charge(bits)
    threshold = jnp.broadcast_to(line.transistor.V_T0, charge.shape)

    def levels(charge, V_T0):
        transistor = eqx.tree_at(lambda t: t.V_T0, line.transistor, V_T0)
        V_TL = line.line_voltage(charge, temperature=temperature)
        return line.memristor.mean_conductance(line.compliance_current(V_TL, transistor, temperature=temperature))

    def along(*directions):
        return jax.jvp(levels, (charge, threshold), directions)

    ones = jnp.stack([jnp.ones_like(charge), jnp.zeros_like(charge)])  # along the charge, then along the threshold
    nominal, (by_charge, by_threshold) = jax.vmap(along, out_axes=(None, 0))(ones, ones[::-1])
    # independent minimum cells: the charges' variances add up
    spread = line.capacitor.P_r_spread * line.capacitor.switching_charge
    charge_variance = spread**2 * jnp.sum(bits * line.cells, axis=-1)
    variance = by_charge**2 * charge_variance + by_threshold**2 * line.transistor.threshold_spread**2
    positive = variance > 0
    return nominal, jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)


class CircuitDevices(NamedTuple):
    """What mismatch leaves for life: mean conductance [uS] of each code on each side."""

    table: Float[Array, "8 2 *w"]


class CircuitTransfer(AbstractTransfer):
    """Levels from the physics of the transfer line, with each device's own mismatch.

    Mismatch of the capacitors' P_r and of the transistors' threshold gives each weight its own eight levels on
    each side (`fabricate`); the memristor's spread adds at each transfer, reduced so that both together make
    the published total. `nominal` and `mismatch` are solved once by `from_line`: after a change of `line` or
    `temperature`, build the transfer again (inside the differentiated function, where a gradient is wanted).
    """

    line: TransferLine
    nominal: Float[Array, " 8"]  # mean conductance [uS] of each code
    mismatch: Float[Array, " 8"]  # standard deviation [uS] that mismatch makes, first order
    temperature: Float[Array, ""] = parameter(
        unit="K", bounds=(100.0, 600.0), doc="temperature of the transfer", default=ROOM_TEMPERATURE
    )
    given_spread: Float[Array, " 8"] | None = None  # of `own_spread` [uS]; None computes it
    twin_noise: bool = eqx.field(static=True, default=False)
    clip: bool = eqx.field(static=True, default=False)

    @classmethod
    def from_line(
        cls, line: TransferLine, *, temperature: Any = ROOM_TEMPERATURE, own_spread=None, **options
    ) -> "CircuitTransfer":
        """Solve the nominal levels of `line` at `temperature` [K] and their sensitivity to mismatch.

        `own_spread` [uS] of each code is the memristor's; None takes what mismatch leaves of the published total.
        """
        nominal, mismatch = _solve(line, jnp.asarray(temperature, line.transistor.V_T0.dtype))
        found = {"nominal": nominal, "mismatch": mismatch, "given_spread": own_spread}
        return cls(line=line, **found, temperature=temperature, **options)

    @property
    def own_spread(self) -> Float[Array, " 8"]:
        """Standard deviation [uS] of the memristor itself by code: as given, or what mismatch leaves of the total."""
        if self.given_spread is not None:
            return self.given_spread
        left = jnp.maximum(self.line.memristor.sigma_set**2 - self.mismatch**2, 0.0)
        return jnp.where(left > 0, jnp.sqrt(jnp.where(left > 0, left, 1.0)), 0.0)

    def levels(self):
        return self.nominal

    def fabricate(self, shape, key, charge=None):
        line = self.line
        if charge is None:
            capacitors = line.capacitor.sample((*shape, 3), stream(key, "capacitors"), cells=line.cells)
        else:
            capacitors = eqx.tree_at(lambda c: c.P_r, line.capacitor, line.capacitor.P_r * jnp.moveaxis(charge, 0, -1))
        transistors = line.transistor.sample((2, *shape), stream(key, "transistors"))
        # V_TL depends on the charge alone: solved on a grid, then interpolated
        grid = jnp.linspace(0.0, 2 * line.switchable_charge(jnp.ones(3)), 129)
        voltage = line.line_voltage(grid, temperature=self.temperature)

        def levels_of(bits):
            charge = line.switchable_charge(jnp.broadcast_to(bits, (*shape, 3)), capacitors)
            V_TL = jnp.broadcast_to(jnp.interp(charge, grid, voltage), (2, *shape))
            I_cc = line.compliance_current(V_TL, transistors, temperature=self.temperature)
            return line.memristor.mean_conductance(I_cc)

        return CircuitDevices(jax.lax.map(levels_of, code_bits(jnp.arange(CODES))))

    def target(self, codes, sign, devices, key):
        side = jnp.where(sign, devices.table[:, 1], devices.table[:, 0])
        return interpolate_levels(side, codes) + interpolate_levels(self.own_spread, codes) * normal(
            key, codes.shape, codes.dtype
        )

    def twin(self, shape, key):
        memristor = self.line.memristor
        if self.twin_noise:
            return memristor.reset_conductance(shape, key)
        return jnp.broadcast_to(memristor.G_reset, shape)


def charged_codes(codes: Float[Array, "*w"], charge: Float[Array, "3 *w"] | None) -> Float[Array, "*w"]:
    """Codes as the line sees them: the charge of the stored ones, in minimum cells; `charge` as in `fabricate`.

    A code is the number of its minimum cells, so that one without some of its charge lies between two codes. The
    gradient is that of `codes`.
    """
    if charge is None:
        return codes
    bits = jnp.moveaxis(code_bits(jnp.round(jax.lax.stop_gradient(codes))), -1, 0).astype(codes.dtype)
    cells = jnp.asarray(MSB_CELLS, codes.dtype).reshape((-1,) + (1,) * codes.ndim)
    return codes + jnp.sum(bits * cells * (charge - 1), axis=0)


def interpolate_levels(levels: Float[Array, "8 ..."], codes: Float[Array, "*w"]) -> Float[Array, "*w"]:
    """Level of each code, linear from a code to the next so that an estimator's gradient has a slope to follow.

    `levels` has shape (8,), or (8, *w) for devices with their own. A sum over the seven steps: it vectorises,
    where a look-up by index does not.
    """
    value = jnp.broadcast_to(levels[0], codes.shape)
    for step in range(CODES - 1):
        passed = codes - step
        if step < CODES - 2:
            passed = jnp.where(passed >= 1, 1.0, passed)
        value = value + jnp.where(passed >= 0, passed, 0.0) * (levels[step + 1] - levels[step])
    return value
