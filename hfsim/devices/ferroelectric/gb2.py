"""Nucleation-limited switching with generalised beta activation fields: the main model, in the mean.

C. Alessandri, P. Pandey, A. Abusleme, A. Seabaugh, IEEE Electron Device Lett. 39, 1780 (2018); for arbitrary
waveforms S. Deng et al., Symp. VLSI Technology (2020). Activation fields E_a follow a generalised beta
distribution of the second kind; a domain of activation field E_a switches after tau:

    f(E_a)      = (a/b) (E_a/b)^(a p - 1) / {B(p, q) [1 + (E_a/b)^a]^(p + q)}
    tau(E_a, E) = tau0 exp[(E_a/|E|)^alpha]
    s           = integral f(E_a) (1 - exp[-(t/tau)^beta]) dE_a,      p = 2 s - 1

Any train of rectangular pulses: a domain's history h grows by dt/tau while the field opposes it, shrinks by
dt/tau otherwise, and it flips in a step with probability 1 - exp(h_old^beta - h_new^beta); h = 0 after a flip.
With `built_in`, each domain feels E + E_off with its own E_off ~ N(0, sigma): loops pinch before wake-up.

Here each of `nodes` classes of domains, at fixed places in ln(E_a/b), carries the fraction that is up and one
history for each orientation. That is exact for pulses of one polarity from saturation (n pulses of width w
equal one of n w). After a partial reversal an orientation holds domains with different histories;
the closure is the **mean history**: flipped domains enter with h = 0 and the orientation keeps the mean of h
over its members. `GB2Domains` is the stochastic ensemble that it is measured against.

At zero field nothing accumulates, and tau never exceeds 1e15 s, so ten years at rest flip nothing. Temperature
scales the field: E has the effect of E exp[-dlnE_dT (T - 300 K)] at 300 K. Valid for fields well above thermal
activation, in a homogeneous film.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy.special import ndtri

from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.powers import exponential, power, switched
from hfsim.units import NANOSECONDS, ROOM_TEMPERATURE

LN_TAU_MAX = float(np.log(1e15 * NANOSECONDS))
"""Cap of ln(tau/ns): 1e15 s."""
LN_E_MAX = 30.0
"""Cap of |ln(E_a/b)|; such domains never switch, or at once."""
_TAIL = 5e-5  # weight of the distribution left outside the quadrature, each side
_STRETCH = 4.0  # nodes are equidistant near the middle of the distribution, sparser in its tails
_LN_POWER_MAX = 40.0  # of (E_a/b)^alpha and (b/E)^alpha, beyond which the cap of tau rules
_FIELD_FLOOR = 1e-3  # MV/cm; below it every class sits at the cap of tau
_HISTORY_MIN = 1e-30  # a history that counts as none
_HAZARD_MAX = 80.0  # h^beta beyond which exp(-h^beta) is nothing in float32
_MEMBERS_MIN = 1e-18  # share of a class below which it has no mean history; its square is a float32
_GOLDEN = 0.6180339887498949  # its multiples fill (0, 1) evenly


class GB2State(eqx.Module):
    """Per class of domains the fraction up, and the mean history of either orientation; (nodes, *devices)."""

    up: Float[Array, "nodes *devices"]
    history_up: Float[Array, "nodes *devices"]
    history_down: Float[Array, "nodes *devices"]


class BuiltInSpread(PhysicalModel):
    """Domains that each feel a built-in field of their own, E_off ~ N(0, sigma)."""

    sigma: Float[Array, "..."] = parameter(
        unit="MV/cm", bounds=(0.0, 5.0), doc="standard deviation of the built-in field between domains"
    )


class Classes(NamedTuple):
    """The classes of domains: E_a/b, weights that sum to 1, and E_off/sigma; leaves (nodes, ...)."""

    activation: Float[Array, "nodes ..."]
    weight: Float[Array, "nodes ..."]
    offset: Float[Array, "nodes ..."]


class GB2Kinetics(AbstractKinetics):
    """Activation fields and switching times of an ensemble of domains, in the mean."""

    a: Float[Array, "..."] = parameter(unit="1", bounds=(0.5, 50.0), doc="GB2 shape: steepness")
    b: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(0.05, 20.0), doc="GB2 scale of E_a")
    p: Float[Array, "..."] = parameter(unit="1", bounds=(0.1, 20.0), doc="GB2 shape: lower tail")
    q: Float[Array, "..."] = parameter(unit="1", bounds=(0.1, 20.0), doc="GB2 shape: upper tail")
    tau0: Float[Array, "..."] = parameter(
        unit="ns", bounds=(1e-4, 1e9), doc="switching time at infinite field", logarithmic=True
    )
    alpha: Float[Array, "..."] = parameter(unit="1", bounds=(0.5, 12.0), doc="exponent of E_a/E")
    beta: Float[Array, "..."] = parameter(unit="1", bounds=(0.3, 6.0), doc="exponent of t/tau")
    dlnE_dT: Float[Array, "..."] = parameter(
        unit="1/K", bounds=(-0.02, 0.02), doc="relative change of the field scale per kelvin", default=0.0
    )
    built_in: BuiltInSpread | None = None
    nodes: int = eqx.field(static=True, default=160)

    def __check_init__(self):
        if not isinstance(self.nodes, int) or not 8 <= self.nodes <= 4096:
            raise InputError("nodes", "be an integer from 8 to 4096", repr(self.nodes), "160 is the default")

    def classes(self) -> Classes:
        """The quadrature over the distributions of activation and built-in field.

        In z = a ln(E_a/b), f has the density exp(p z)/(1 + exp z)^(p + q) up to its norm. Nodes are equidistant in
        arcsinh(z/4), between the places where the exponential tails hold 5e-5; the trapezoidal rule converges
        geometrically there. The edge between switched and unswitched classes is sharp, so its slope needs more
        nodes than its value: with 160, values are within 0.01 % of 2 P_r and slopes within 0.5 % of the steepest
        for pulses up to 1e4 tau0; at 1e8 tau0 0.02 % and 7 %.

        Each class has one built-in field, a normal quantile at a multiple of the golden ratio (a rank-1 lattice over
        both distributions), shifted and scaled so that its weighted mean is 0 and its variance 1.
        """
        one = jnp.ones(jnp.broadcast_shapes(*(jnp.shape(x) for x in (self.a, self.p, self.q))))
        low = (np.log(_TAIL) + jnp.log(self.p)) / self.p * one
        high = -(np.log(_TAIL) + jnp.log(self.q)) / self.q * one
        axes = (-1,) + (1,) * one.ndim
        place = jnp.linspace(0.0, 1.0, self.nodes).reshape(axes)
        v = jnp.arcsinh(low / _STRETCH) * (1 - place) + jnp.arcsinh(high / _STRETCH) * place
        z = _STRETCH * jnp.sinh(v)
        log_density = self.p * z - (self.p + self.q) * jax.nn.softplus(z) + jnp.log(jnp.cosh(v))
        weight = jax.nn.softmax(log_density, axis=0)
        quantile = ndtri((np.arange(1, self.nodes + 1) * _GOLDEN) % 1.0).astype(weight.dtype).reshape(axes)
        offset = quantile - jnp.sum(weight * quantile, axis=0)
        offset = offset / jnp.sqrt(jnp.sum(weight * offset**2, axis=0))
        return Classes(jnp.exp(jnp.clip(z / self.a, -LN_E_MAX, LN_E_MAX)), weight, offset)

    def driving_field(self, field, temperature) -> Float[Array, "..."]:
        """The field that has the effect of `field` [MV/cm] at 300 K: E exp[-dlnE_dT (T - 300 K)]."""
        return field * jnp.exp(-self.dlnE_dT * (temperature - ROOM_TEMPERATURE))

    def progress(self, activation, field, width) -> Float[Array, "..."]:
        """dt/tau of domains with E_a/b = `activation` under `field` [MV/cm] for `width` [ns]; 0 at zero field."""
        magnitude = jnp.maximum(jnp.abs(field), _FIELD_FLOOR)
        # (E_a/E)^alpha as a product, so that each power is taken once per class and once per device; each factor is
        # kept finite, so that the cap's zero gradient never meets an infinity
        of_class = jnp.exp(jnp.minimum(self.alpha * jnp.log(activation), _LN_POWER_MAX))
        most = jnp.exp(jnp.minimum(_LN_POWER_MAX / self.alpha, _LN_POWER_MAX))
        ratio = jnp.minimum(self.b / magnitude, most)
        of_field = jax.lax.optimization_barrier(power(ratio, self.alpha))
        exponent = jnp.minimum(of_class * of_field, LN_TAU_MAX - jnp.log(self.tau0))
        rate = jnp.where(field == 0, 0.0, width) / self.tau0
        return jax.lax.optimization_barrier(rate * exponential(-exponent))

    def hazard(self, history):
        """h^beta, with a finite gradient at h = 0."""
        return power(jnp.maximum(history, _HISTORY_MIN), self.beta)

    def grown(self, history, progress):
        """History after growth, capped where no domain is left unflipped."""
        return jnp.minimum(history + progress, jnp.exp(np.log(_HAZARD_MAX) / self.beta))

    def fields(self, field, offset, rank: int, temperature) -> Float[Array, "..."]:
        """The field that drives each class [MV/cm]; without a built-in spread all share one."""
        if self.built_in is not None:
            field = field + self.built_in.sigma * trailing(offset, rank)
        return self.driving_field(field, temperature)

    def switched_fraction(self, field, width) -> Float[Array, "..."]:
        """Switched fraction s after one pulse of `field` [MV/cm] and `width` [ns] from saturation."""
        field, width = jnp.broadcast_arrays(field, width)
        start = self.init(field.shape, jnp.where(field > 0, 0.0, 1.0))
        after = self.expose(start, field, width, ROOM_TEMPERATURE)
        return 0.5 * jnp.abs(self.polarisation(after) - self.polarisation(start))

    def init(self, shape: tuple[int, ...], up=0.0, key: Key[Array, ""] | None = None) -> GB2State:
        zero = jnp.zeros((self.nodes, *shape), jnp.result_type(self.b, float))
        return GB2State(zero + jnp.asarray(up, zero.dtype), zero, zero)

    def expose(self, state: GB2State, field, width, temperature) -> GB2State:
        classes, rank = self.classes(), state.up.ndim
        scaled = self.fields(field, classes.offset, rank, temperature)
        progress = self.progress(trailing(classes.activation, rank), scaled, width)
        upwards = scaled > 0
        opposed = jnp.where(upwards, 1 - state.up, state.up)
        aligned = 1 - opposed
        before = jnp.where(upwards, state.history_down, state.history_up)
        after = self.grown(before, progress)
        flipped = jax.lax.optimization_barrier(opposed * switched(self.hazard(after) - self.hazard(before)))
        rested = jnp.maximum(jnp.where(upwards, state.history_up, state.history_down) - progress, 0.0)
        inverse = jax.lax.optimization_barrier(jnp.reciprocal(jnp.maximum(aligned + flipped, _MEMBERS_MIN)))
        joined = jax.lax.optimization_barrier(rested * (1 - flipped * inverse))  # exactly rested where none flips
        return GB2State(
            up=jnp.where(upwards, state.up + flipped, state.up - flipped),
            history_up=jnp.where(upwards, joined, after),
            history_down=jnp.where(upwards, after, joined),
        )

    def polarisation(self, state: GB2State) -> Float[Array, "*devices"]:
        return 2 * jnp.sum(trailing(self.classes().weight, state.up.ndim) * state.up, axis=0) - 1


def trailing(classes: Array, rank: int) -> Array:
    """Give an array of classes trailing axes up to `rank`, to broadcast against (nodes, *devices)."""
    return classes.reshape(classes.shape + (1,) * (rank - classes.ndim)) if classes.ndim < rank else classes
