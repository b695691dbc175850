"""The ferroelectric capacitor: an ensemble of nucleation-limited domains, in the mean.

C. Alessandri, P. Pandey, A. Abusleme, A. Seabaugh, IEEE Electron Device Lett. 39, 1780 (2018); for arbitrary
waveforms S. Deng et al., Symp. VLSI Technology (2020). Activation fields E_a follow a generalised beta
distribution of the second kind; a domain of activation field E_a switches after tau:

    f(E_a)      = (a/b) (E_a/b)^(a p - 1) / {B(p, q) [1 + (E_a/b)^a]^(p + q)}
    tau(E_a, E) = tau0 exp[(E_a/|E|)^alpha]
    s           = integral f(E_a) (1 - exp[-(t/tau)^beta]) dE_a,      P = -P_r + 2 P_r s

Any train of rectangular pulses: a domain's history h grows by dt/tau while the field opposes it, shrinks by
dt/tau otherwise, and it flips in a step with probability 1 - exp(h_old^beta - h_new^beta); h = 0 after a flip.

Here each of `nodes` classes of domains, at fixed places in ln(E_a/b), carries the fraction that is up and one
history for each orientation. That is exact for pulses of one polarity from saturation (n pulses of width w
equal one of n w). After a partial reversal an orientation holds domains with different histories;
the closure is the **mean history**: flipped domains enter with h = 0 and the orientation keeps the mean of h
over its members. `FerroelectricDomains` is the stochastic ensemble that it is measured against.

At zero field nothing accumulates, and tau never exceeds 1e15 s, so ten years at rest flip nothing. The field is
E = V/t + E_bi. Valid for a homogeneous field well above thermal activation; no series resistance.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.devices.pulse import Pulse, require_duration
from hfsim.draws import normal
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import (
    CHARGE_OF_POLARISATION,
    FIELD_OF_VOLT_PER_NM,
    NANOSECONDS,
    ROOM_TEMPERATURE,
    VACUUM_PERMITTIVITY,
)

LN_TAU_MAX = float(np.log(1e15 * NANOSECONDS))
"""Cap of ln(tau/ns): 1e15 s."""
_TAIL = 5e-5  # weight of the distribution left outside the quadrature, each side
_STRETCH = 4.0  # nodes are equidistant near the middle of the distribution, sparser in its tails
_LN_E_MAX = 30.0  # of E_a/b; such domains never switch, or at once
_LN_POWER_MAX = 80.0  # of (E_a)^alpha and E^-alpha, beyond which the cap of tau rules
_FIELD_FLOOR = 1e-3  # MV/cm; below it every class sits at the cap of tau
_HAZARD_MAX = 80.0  # h^beta beyond which exp(-h^beta) is nothing in float32
_MEMBERS_MIN = 1e-18  # share of a class below which it has no mean history; its square is a float32


class FerroelectricState(eqx.Module):
    """State of FeCAPs of some shape: per class of domains the fraction up, and the two mean histories.

    All leaves have shape (nodes, *devices).
    """

    up: Float[Array, "nodes *devices"]
    history_up: Float[Array, "nodes *devices"]
    history_down: Float[Array, "nodes *devices"]


class SwitchingKinetics(PhysicalModel):
    """Activation fields and switching times of an ensemble of domains (the GB2 set)."""

    a: Float[Array, "..."] = parameter(unit="1", bounds=(0.5, 50.0), doc="GB2 shape: steepness")
    b: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(0.05, 20.0), doc="GB2 scale of E_a")
    p: Float[Array, "..."] = parameter(unit="1", bounds=(0.1, 20.0), doc="GB2 shape: lower tail")
    q: Float[Array, "..."] = parameter(unit="1", bounds=(0.1, 20.0), doc="GB2 shape: upper tail")
    tau0: Float[Array, "..."] = parameter(
        unit="ns", bounds=(1e-4, 1e9), doc="switching time at infinite field", logarithmic=True
    )
    alpha: Float[Array, "..."] = parameter(unit="1", bounds=(0.5, 12.0), doc="exponent of E_a/E")
    beta: Float[Array, "..."] = parameter(unit="1", bounds=(0.3, 6.0), doc="exponent of t/tau")
    nodes: int = eqx.field(static=True, default=160)

    def __check_init__(self):
        if not isinstance(self.nodes, int) or not 8 <= self.nodes <= 4096:
            raise InputError("nodes", "be an integer from 8 to 4096", repr(self.nodes), "160 is the default")

    def quadrature(self) -> tuple[Float[Array, "nodes ..."], Float[Array, "nodes ..."]]:
        """Activation fields [MV/cm] of the classes and their weights, which sum to 1.

        In z = a ln(E_a/b), f has the density exp(p z)/(1 + exp z)^(p + q) up to its norm. Nodes are equidistant in
        arcsinh(z/4), between the places where the exponential tails hold 5e-5; the trapezoidal rule converges
        geometrically there. The edge between switched and unswitched classes is sharp, so its slope needs more
        nodes than its value: with 160, values are within 0.01 % of 2 P_r and slopes within 0.5 % of the steepest
        for pulses up to 1e4 tau0; at 1e8 tau0 0.02 % and 7 %.
        """
        one = jnp.ones(jnp.broadcast_shapes(*(jnp.shape(x) for x in (self.a, self.b, self.p, self.q))))
        low = (np.log(_TAIL) + jnp.log(self.p)) / self.p * one
        high = -(np.log(_TAIL) + jnp.log(self.q)) / self.q * one
        place = jnp.linspace(0.0, 1.0, self.nodes).reshape((-1,) + (1,) * one.ndim)
        v = jnp.arcsinh(low / _STRETCH) * (1 - place) + jnp.arcsinh(high / _STRETCH) * place
        z = _STRETCH * jnp.sinh(v)
        log_density = self.p * z - (self.p + self.q) * jax.nn.softplus(z) + jnp.log(jnp.cosh(v))
        return self.b * jnp.exp(jnp.clip(z / self.a, -_LN_E_MAX, _LN_E_MAX)), jax.nn.softmax(log_density, axis=0)

    def progress(self, E_a, field, width) -> Float[Array, "..."]:
        """dt/tau of domains of activation field `E_a` under `field` [MV/cm] for `width` [ns]; 0 at zero field."""
        magnitude = jnp.maximum(jnp.abs(field), _FIELD_FLOOR)
        # (E_a/E)^alpha as a product, so that each power is taken once per class and once per device; each factor is
        # kept finite, so that the cap's zero gradient never meets an infinity
        of_class = jnp.exp(jnp.minimum(self.alpha * jnp.log(E_a), _LN_POWER_MAX))
        of_field = jnp.exp(jnp.minimum(-self.alpha * jnp.log(magnitude), _LN_POWER_MAX))
        exponent = jnp.minimum(of_class * of_field, LN_TAU_MAX - jnp.log(self.tau0))
        duration = jnp.where(field == 0, 0.0, width)
        return duration / self.tau0 * jnp.exp(-exponent)

    def hazard(self, history):
        """h^beta, with a finite gradient at h = 0."""
        positive = history > 0
        return jnp.where(positive, jnp.where(positive, history, 1.0) ** self.beta, 0.0)

    def grown(self, history, progress):
        """History after growth, capped where no domain is left unflipped."""
        return jnp.minimum(history + progress, _HAZARD_MAX ** (1 / self.beta))

    def switched_fraction(self, field, width) -> Float[Array, "..."]:
        """Switched fraction s after one pulse of `field` [MV/cm] and `width` [ns] from saturation."""
        field, width = jnp.broadcast_arrays(field, width)
        E_a, weight = (_trailing(x, field.ndim + 1) for x in self.quadrature())
        flipped = -jnp.expm1(-self.hazard(self.grown(0.0, self.progress(E_a, field, width))))
        return jnp.sum(weight * flipped, axis=0)


class FerroelectricCapacitor(PhysicalModel):
    """A FeCAP: a population of domains with `kinetics` in parallel with a linear dielectric.

    "Up" is what a positive pulse on the top electrode writes; the array stores bit 0 as up, bit 1 as down.
    """

    kinetics: SwitchingKinetics
    P_r: Float[Array, "..."] = parameter(unit="uC/cm2", bounds=(0.0, 100.0), doc="remanent polarisation")
    S: Float[Array, "..."] = parameter(unit="um2", bounds=(1e-5, 1e8), doc="area", logarithmic=True)
    t: Float[Array, "..."] = parameter(unit="nm", bounds=(0.5, 1e3), doc="film thickness", logarithmic=True)
    eps_r: Float[Array, "..."] = parameter(unit="1", bounds=(1.0, 1e3), doc="relative permittivity")
    E_bi: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(-5.0, 5.0), doc="built-in field", default=0.0)
    dlnE_dT: Float[Array, "..."] = parameter(
        unit="1/K", bounds=(-0.02, 0.02), doc="relative change of the field scale per kelvin", default=0.0
    )
    P_r_spread: Float[Array, "..."] = parameter(
        unit="1", bounds=(0.0, 0.5), doc="relative device-to-device spread of P_r of one minimum cell", default=0.0
    )

    @property
    def capacitance(self) -> Float[Array, "..."]:
        """Linear capacitance C_D = eps0 eps_r S/t [fF]."""
        return VACUUM_PERMITTIVITY * self.eps_r * self.S / (1e-3 * self.t)

    @property
    def switching_charge(self) -> Float[Array, "..."]:
        """2 P_r S [fC]: what a full reversal moves."""
        return 2 * CHARGE_OF_POLARISATION * self.P_r * self.S

    def field(self, voltage) -> Float[Array, "..."]:
        """Field in the film [MV/cm] at `voltage` [V] on the top electrode."""
        return FIELD_OF_VOLT_PER_NM * voltage / self.t + self.E_bi

    def driving_field(self, field, temperature) -> Float[Array, "..."]:
        """The field that has the effect of `field` at 300 K: E exp[-dlnE_dT (T - 300 K)]."""
        return field * jnp.exp(-self.dlnE_dT * (temperature - ROOM_TEMPERATURE))

    def init(self, shape: tuple[int, ...] = (), key: Key[Array, ""] | None = None, *, up=0.0):
        """State of devices of `shape` saturated to the fraction `up` (0 down, 1 up); `key` is not needed."""
        nodes = (self.kinetics.nodes, *shape)
        zero = jnp.zeros(nodes, jnp.result_type(self.P_r, float))
        return FerroelectricState(zero + jnp.asarray(up, zero.dtype), zero, zero)

    def apply(
        self,
        state: FerroelectricState,
        pulse: Pulse,
        key: Key[Array, ""] | None = None,
        *,
        temperature=ROOM_TEMPERATURE,
    ) -> FerroelectricState:
        """State after one rectangular pulse; the deterministic mean field takes no `key`."""
        return self._expose(state, self.field(pulse.voltage), pulse.width, temperature)

    def _expose(self, state, field, width, temperature):
        kinetics, devices = self.kinetics, state.up.shape[1:]
        given = jnp.broadcast_shapes(jnp.shape(field), jnp.shape(width))
        if len(given) > len(devices) or jnp.broadcast_shapes(given, devices) != devices:
            raise InputError("pulse", f"fit the devices' shape {devices}", f"of shape {given}", "init more devices")
        E_a, _ = kinetics.quadrature()
        E_a = _trailing(E_a, state.up.ndim)
        scaled = self.driving_field(field, temperature)
        progress = kinetics.progress(E_a, scaled, width)
        upwards = scaled > 0
        opposed = jnp.where(upwards, 1 - state.up, state.up)
        before = jnp.where(upwards, state.history_down, state.history_up)
        after = kinetics.grown(before, progress)
        flipped = opposed * -jnp.expm1(kinetics.hazard(before) - kinetics.hazard(after))
        aligned = jnp.where(upwards, state.up, 1 - state.up)
        rested = jnp.maximum(jnp.where(upwards, state.history_up, state.history_down) - progress, 0.0)
        members = aligned + flipped
        inhabited = members > _MEMBERS_MIN
        joined = jnp.where(inhabited, rested * (aligned / jnp.where(inhabited, members, 1.0)), 0.0)
        return FerroelectricState(
            up=jnp.where(upwards, state.up + flipped, state.up - flipped),
            history_up=jnp.where(upwards, joined, after),
            history_down=jnp.where(upwards, after, joined),
        )

    def wait(self, state, seconds, temperature=ROOM_TEMPERATURE) -> FerroelectricState:
        """State after `seconds` [s] at rest at `temperature` [K]: only the built-in field acts."""
        require_duration(seconds)
        return self._expose(state, self.field(jnp.zeros_like(self.t)), NANOSECONDS * seconds, temperature)

    def polarisation(self, state: FerroelectricState) -> Float[Array, "*devices"]:
        """P = P_r (2 s - 1) [uC/cm2]."""
        _, weight = self.kinetics.quadrature()
        return self.P_r * (2 * jnp.sum(_trailing(weight, state.up.ndim) * state.up, axis=0) - 1)

    def charge(self, state: FerroelectricState, voltage: Float[Array, "..."] | float = 0.0) -> Float[Array, "*devices"]:
        """Charge on the top electrode [fC]: S P + C_D V."""
        return CHARGE_OF_POLARISATION * self.S * self.polarisation(state) + self.capacitance * voltage

    def write(self, state, bit, pulse: Pulse, *, temperature=ROOM_TEMPERATURE) -> FerroelectricState:
        """Write bits (0 or 1, the devices' shape): `pulse` on the top electrode for 0, on the bit line for 1."""
        sign = 1.0 - 2.0 * jnp.asarray(bit, jnp.result_type(self.P_r))
        return self.apply(state, Pulse(sign * pulse.voltage, pulse.width), temperature=temperature)

    def read(self, state, pulse: Pulse, *, temperature=ROOM_TEMPERATURE):
        """Destructive read into a virtual ground: (state after, charge [fC] delivered while the pulse is on).

        A cell that held down flips and gives 2 P_r S + C_D V; one that held up gives C_D V.
        """
        after = self.apply(state, pulse, temperature=temperature)
        return after, self.charge(after, pulse.voltage) - self.charge(state)

    def sample(
        self, shape: tuple[int, ...], key: Key[Array, ""], *, cells: Float[Array, "..."] | float = 1.0
    ) -> "FerroelectricCapacitor":
        """A population of `shape`: P_r varies by `P_r_spread`/sqrt(cells), never below 0.

        `cells` is how many minimum cells stand in parallel in each device, whose area is `S`.
        """
        spread = self.P_r_spread / jnp.sqrt(cells) * normal(key, shape, self.P_r.dtype)
        return eqx.tree_at(lambda m: m.P_r, self, self.P_r * jnp.maximum(1 + spread, 0.0))


def _trailing(classes: Array, rank: int) -> Array:
    """Give an array of classes trailing axes up to `rank`, to broadcast against (nodes, *devices)."""
    return classes.reshape(classes.shape + (1,) * (rank - classes.ndim)) if classes.ndim < rank else classes
