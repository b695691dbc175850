"""The ferroelectric capacitor: a film that switches, in parallel with its linear dielectric.

    Q = S (P + eps0 eps_r E),      P = P_r p,      the domains feel E + E_bi

p comes from the kinetics. The film may have

    interface   a dead layer in series: the field depends on the polarisation, and the film depolarises at rest
    series      a resistance in series: the film sees less than the pulse while it charges and switches
    leakage     a conduction current through the film
    ageing      wake-up, fatigue, imprint and breakdown, carried in the state

Without interface and series the field of a rectangular pulse is constant, and the pulse is one exact step. With
either, the pulse is walked through in `steps` sub-steps whose ends grow geometrically, each with the field as the root
of one increasing function, differentiated implicitly: implicit midpoint, the first sub-step implicit Euler. The error
falls with the square of the number of steps.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.devices.ferroelectric.ageing import Ageing
from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.devices.ferroelectric.leakage import AbstractLeakage
from hfsim.devices.ferroelectric.surroundings import InterfaceLayer, SeriesResistance
from hfsim.devices.interface import AbstractDevice
from hfsim.devices.pulse import Pulse, require_duration
from hfsim.draws import normal, require_key, stream
from hfsim.errors import InputError
from hfsim.parameters import parameter
from hfsim.roots import increasing_root
from hfsim.units import (
    CHARGE_OF_POLARISATION,
    FIELD_OF_POLARISATION,
    FIELD_OF_VOLT_PER_NM,
    NANOSECONDS,
    ROOM_TEMPERATURE,
    VACUUM_PERMITTIVITY,
)

_FIRST_OF_PULSE, _FIRST_OF_WAIT = 1e-6, 1e-12  # end of the first sub-step over the whole


class FerroelectricState(eqx.Module):
    """State of FeCAPs of some shape.

    `film` is the kinetics' own state; `voltage` is what lies over the film, kept where a series resistance lets it
    lag behind the pulse; `wear` the history of ageing (`Wear`). The last two are None where the capacitor has no such
    part.
    """

    film: Any
    voltage: Float[Array, "*devices"] | None
    wear: Any


class FerroelectricCapacitor(AbstractDevice):
    """A FeCAP: a film whose `kinetics` answer the field, in parallel with a linear dielectric.

    "Up" is what a positive pulse on the top electrode writes; the array stores bit 0 as up, bit 1 as down.
    """

    kinetics: AbstractKinetics
    P_r: Float[Array, "..."] = parameter(unit="uC/cm2", bounds=(0.0, 100.0), doc="remanent polarisation")
    S: Float[Array, "..."] = parameter(unit="um2", bounds=(1e-5, 1e8), doc="area", logarithmic=True)
    t: Float[Array, "..."] = parameter(unit="nm", bounds=(0.5, 1e3), doc="film thickness", logarithmic=True)
    eps_r: Float[Array, "..."] = parameter(unit="1", bounds=(1.0, 1e3), doc="relative permittivity")
    E_bi: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(-5.0, 5.0), doc="built-in field", default=0.0)
    P_r_spread: Float[Array, "..."] = parameter(
        unit="1", bounds=(0.0, 0.5), doc="relative device-to-device spread of P_r of one minimum cell", default=0.0
    )
    interface: InterfaceLayer | None = None
    series: SeriesResistance | None = None
    leakage: AbstractLeakage | None = None
    ageing: Ageing | None = None
    steps: int = eqx.field(static=True, default=32)

    def __check_init__(self):
        if not isinstance(self.steps, int) or not 1 <= self.steps <= 1000:
            raise InputError("steps", "be an integer from 1 to 1000", repr(self.steps))

    # ------------------------------------------------------------------------------------------ electrostatics

    @property
    def capacitance(self) -> Float[Array, "..."]:
        """Linear capacitance [fF]: C_D = eps0 eps_r S/t, in series with that of the interface."""
        return VACUUM_PERMITTIVITY * self.eps_r * self.S / (1e-3 * self.t * self._divider)

    @property
    def switching_charge(self) -> Float[Array, "..."]:
        """2 P_r S [fC]: what a full reversal moves."""
        return 2 * CHARGE_OF_POLARISATION * self.P_r * self.S

    @property
    def _divider(self):
        """V/t over the field without polarisation: 1 + eps_r t_i/(eps_i t)."""
        if self.interface is None:
            return 1.0
        return 1 + self.eps_r * self.interface.t_i / (self.interface.eps_i * self.t)

    @property
    def _depolarisation(self):
        """Volts per nm and uC/cm2 that the interface takes, times 10: t_i/(eps0 eps_i t) [MV/cm per uC/cm2]."""
        if self.interface is None:
            return 0.0
        return FIELD_OF_POLARISATION * self.interface.t_i / (self.interface.eps_i * self.t)

    def film_field(self, voltage, polarisation) -> Float[Array, "..."]:
        """E in the film [MV/cm] at `voltage` [V] on the top electrode and P [uC/cm2], without the built-in field."""
        field = FIELD_OF_VOLT_PER_NM * voltage / self.t
        if self.interface is None:
            return field
        return (field - self._depolarisation * (polarisation - self.interface.sigma)) / self._divider

    def field(self, voltage) -> Float[Array, "..."]:
        """Field that drives the domains of a film without interface [MV/cm]: V/t + E_bi."""
        return FIELD_OF_VOLT_PER_NM * voltage / self.t + self.E_bi

    def _stack_voltage(self, field, polarisation):
        """The voltage [V] over film and interface at which the film's field is `field`: `film_field` backwards."""
        excess = 0.0 if self.interface is None else self._depolarisation * (polarisation - self.interface.sigma)
        return (field * self._divider + excess) * self.t / FIELD_OF_VOLT_PER_NM

    def _charge(self, field, polarisation):
        """Q = S (P + eps0 eps_r E) [fC]."""
        return CHARGE_OF_POLARISATION * self.S * (polarisation + self.eps_r * field / FIELD_OF_POLARISATION)

    def _leak(self, field, temperature):
        """Current through the film [uA]."""
        return 0.0 if self.leakage is None else self.S * self.leakage.current_density(field, temperature)

    # ------------------------------------------------------------------------------------------------- the life

    def init(
        self, shape: tuple[int, ...] = (), key: Key[Array, ""] | None = None, *, up: Any = 0.0
    ) -> FerroelectricState:
        """State of devices of `shape` saturated to the fraction `up` (0 down, 1 up), without a past.

        `key` is needed by kinetics with random domains and by ageing with breakdown.
        """
        dtype = jnp.result_type(self.P_r)
        up = jnp.asarray(up, dtype)
        film = self.kinetics.init(shape, up, None if key is None else stream(require_key(key), "domains"))
        voltage = None if self.series is None else jnp.zeros(shape, dtype)
        return FerroelectricState(film, voltage, None if self.ageing is None else self.ageing.init(shape, key, dtype))

    def apply(
        self,
        state: FerroelectricState,
        pulse: Pulse,
        key: Key[Array, ""] | None = None,
        *,
        temperature=ROOM_TEMPERATURE,
    ) -> FerroelectricState:
        """State after one rectangular pulse; draws, where there are any, come from the state's own stream."""
        return self.respond(state, pulse, temperature=temperature)[0]

    def respond(self, state: FerroelectricState, pulse: Pulse, *, temperature=ROOM_TEMPERATURE):
        """(state after one rectangular pulse, charge [fC] that leaked through the film meanwhile)."""
        self._check_fit(state, pulse)
        return self._expose(state, pulse.voltage, pulse.width, temperature, _FIRST_OF_PULSE)

    def wait(self, state, seconds, temperature=ROOM_TEMPERATURE) -> FerroelectricState:
        """State after `seconds` [s] shorted at `temperature` [K]: only built-in and depolarising fields act."""
        require_duration(seconds)
        nothing = jnp.zeros_like(self.t)
        return self._expose(state, nothing, NANOSECONDS * seconds, temperature, _FIRST_OF_WAIT)[0]

    def cycle(self, state, pulse: Pulse, cycles, *, temperature=ROOM_TEMPERATURE) -> FerroelectricState:
        """State after `cycles` (a number >= 1) bipolar cycles of `pulse`, up first.

        One cycle is applied; the others add wear at its rate and leave the film where it left it. Exact while one
        cycle is like the next: where a device still wakes up, cycle it in stages (see `endurance`).
        """

        def half(state, sign):
            state = self.apply(state, Pulse(sign * pulse.voltage, pulse.width), temperature=temperature)
            return state, self.kinetics.polarisation(state.film)

        state, (up, down) = jax.lax.scan(half, state, jnp.asarray([1.0, -1.0], jnp.result_type(self.P_r)))
        turned = 2 * jnp.abs(up - down)  # there and back
        if self.ageing is None:
            return state
        rest = jnp.maximum(cycles - 1.0, 0.0)
        wear = self.ageing.worn(
            state.wear,
            turned=rest * turned,
            level=0.0,
            field=self.film_field(pulse.voltage, 0.0),
            seconds=2 * rest * pulse.width / NANOSECONDS,
            area=self.S,
            temperature=temperature,
        )
        return FerroelectricState(state.film, state.voltage, wear)

    def _check_fit(self, state, pulse):
        devices = self.kinetics.polarisation(state.film).shape
        given = jnp.broadcast_shapes(jnp.shape(pulse.voltage), jnp.shape(pulse.width))
        if len(given) > len(devices) or jnp.broadcast_shapes(given, devices) != devices:
            raise InputError("pulse", f"fit the devices' shape {devices}", f"of shape {given}", "init more devices")

    def _expose(self, state, voltage, width, temperature, first):
        relaxes = self.ageing is not None and self.ageing.imprint is not None and first == _FIRST_OF_WAIT
        if self.interface is None and self.series is None and not relaxes:
            return self._step(state, voltage, width, temperature, 1.0)
        ends = np.geomspace(first, 1.0, self.steps + 1)[1:]
        widths = jnp.multiply.outer(np.diff(ends, prepend=0.0), width).astype(jnp.result_type(self.P_r))
        middle = np.full(self.steps, 0.5)
        middle[0] = 1.0  # implicit Euler: a transient faster than the first sub-step is damped, not ringing

        def step(carry, sample):
            state, leaked = self._step(carry[0], voltage, sample[0], temperature, sample[1])
            return (state, carry[1] + leaked), None

        nothing = jnp.zeros_like(self.kinetics.polarisation(state.film))
        sub_steps = (widths, jnp.asarray(middle, widths.dtype))
        return jax.lax.scan(step, (state, nothing), sub_steps)[0]

    def _step(self, state, voltage, width, temperature, theta):
        """One sub-step: (state, leaked charge), the field solved at the share `theta` of the way from start to end."""
        now = self if self.ageing is None else self.ageing.aged(self, state.wear)
        before, over_film = now.kinetics.polarisation(state.film), None
        if self.interface is None and self.series is None:
            field = now.film_field(voltage, 0.0)
        else:
            field = now._solved_field(state, before, voltage, width, temperature, theta)
        film = now.kinetics.expose(state.film, field + now.E_bi, width, temperature)
        after, leak = now.kinetics.polarisation(film), now._leak(field, temperature)
        if self.series is not None:
            at_start = now.film_field(state.voltage, now.P_r * before)
            over_film = now._stack_voltage(at_start + (field - at_start) / theta, now.P_r * after)
        wear = state.wear
        if self.ageing is not None:
            wear = self.ageing.worn(
                wear,
                turned=jnp.abs(after - before),
                level=after,
                field=field,
                seconds=width / NANOSECONDS,
                area=self.S,
                temperature=temperature,
            )
        return FerroelectricState(film, over_film, wear), jnp.broadcast_to(leak * width, after.shape)

    def _solved_field(self, state, before, voltage, width, temperature, theta):
        """Root of the circuit's equation at theta; what has no series resistance has no lag either."""
        P_before = self.P_r * before
        lag = jnp.zeros_like(before) if state.voltage is None else state.voltage
        at_start = self.film_field(lag, P_before)
        charge = self._charge(at_start, P_before)

        def excess(field):
            film = self.kinetics.expose(state.film, field + self.E_bi, width, temperature)
            P = self.P_r * self.kinetics.polarisation(film)
            drop = 0.0
            if self.series is not None:  # kohm uA = mV; a sub-step without duration lets no current flow
                lasting = jnp.where(width > 0, width, 1.0)
                current = (self._charge(at_start + (field - at_start) / theta, P) - charge) / lasting
                drop = 1e-3 * self.series.R_s * (current + self._leak(field, temperature))
            between = (1 - theta) * P_before + theta * P
            return self._stack_voltage(field, between) + jnp.where(width > 0, drop, 0.0) - voltage

        reach = FIELD_OF_VOLT_PER_NM * (jnp.abs(voltage) + jnp.abs(lag)) / self.t
        sigma = 0.0 if self.interface is None else jnp.abs(self.interface.sigma)
        reach = jnp.broadcast_to(reach + self._depolarisation * (2 * self.P_r + sigma) + 0.1, before.shape)
        start = jnp.clip(at_start, -reach, reach)
        tolerance = float(np.sqrt(jnp.finfo(reach.dtype).eps))
        return increasing_root(excess, -reach, reach, start=start, tolerance=tolerance)

    # ------------------------------------------------------------------------------------------------ what is seen

    def polarisation(self, state: FerroelectricState) -> Float[Array, "*devices"]:
        """P = P_r p [uC/cm2], with the present P_r; 0 of a broken device."""
        now = self if self.ageing is None else self.ageing.aged(self, state.wear)
        return now.P_r * self.kinetics.polarisation(state.film)

    def charge(self, state: FerroelectricState, voltage: Float[Array, "..."] | float | None = None):
        """Charge on the top electrode [fC]: S (P + eps0 eps_r E).

        `voltage` [V] lies over the capacitor; by default what the state holds (nothing without a series resistance).
        """
        if voltage is None:
            voltage = 0.0 if state.voltage is None else state.voltage
        P = self.polarisation(state)
        return self._charge(self.film_field(voltage, P), P)

    def write(self, state, bit, pulse: Pulse, *, temperature=ROOM_TEMPERATURE) -> FerroelectricState:
        """Write bits (0 or 1, the devices' shape): `pulse` on the top electrode for 0, on the bit line for 1."""
        sign = 1.0 - 2.0 * jnp.asarray(bit, jnp.result_type(self.P_r))
        return self.apply(state, Pulse(sign * pulse.voltage, pulse.width), temperature=temperature)

    def read(self, state, pulse: Pulse, *, temperature=ROOM_TEMPERATURE):
        """Destructive read into a virtual ground: (state after, charge [fC] delivered while the pulse is on).

        A cell that held down flips and gives 2 P_r S + C_D V; one that held up gives C_D V; both give what leaks.
        """
        after, leaked = self.respond(state, pulse, temperature=temperature)
        over_film = pulse.voltage if self.series is None else after.voltage
        return after, self.charge(after, over_film) - self.charge(state) + leaked

    def plot(self, *voltages: float, **options):
        """P-V loops, one for each amplitude [V]: `hfsim.plot.hysteresis`. Returns matplotlib axes."""
        from hfsim.plot import hysteresis  # matplotlib is needed here alone

        return hysteresis(self, voltages, **options)

    def sample(
        self, shape: tuple[int, ...], key: Key[Array, ""], *, cells: Float[Array, "..."] | float = 1.0
    ) -> "FerroelectricCapacitor":
        """A population of `shape`: P_r varies by `P_r_spread`/sqrt(cells), never below 0.

        `cells` is how many minimum cells stand in parallel in each device, whose area is `S`.
        """
        spread = self.P_r_spread / jnp.sqrt(cells) * normal(key, shape, self.P_r.dtype)
        return eqx.tree_at(lambda m: m.P_r, self, self.P_r * jnp.maximum(1 + spread, 0.0))
