"""The ferroelectric capacitor: a film that switches, in parallel with its linear dielectric.

    Q = S (P + eps0 eps_r E),      P = P_r p,      E = V/t + E_bi

p comes from the kinetics. The film may have

    interface   a dead layer in series: the field depends on the polarisation, and the film depolarises at rest
    series      a resistance in series: the film sees less than the pulse while it switches
    leakage     a conduction current through the film
    ageing      wake-up, fatigue, imprint and breakdown, carried in the state

Without interface and series the field of a rectangular pulse is constant and the pulse is one exact step. With
either the field is solved in sub-steps (`hfsim.devices.ferroelectric.film_field`).
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.devices.interface import AbstractDevice
from hfsim.devices.pulse import Pulse, require_duration
from hfsim.draws import normal
from hfsim.errors import InputError
from hfsim.parameters import parameter
from hfsim.units import (
    CHARGE_OF_POLARISATION,
    FIELD_OF_VOLT_PER_NM,
    NANOSECONDS,
    ROOM_TEMPERATURE,
    VACUUM_PERMITTIVITY,
)


class FerroelectricState(eqx.Module):
    """State of FeCAPs of some shape: `film` is the kinetics' own state."""

    film: Any


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

    def init(self, shape: tuple[int, ...] = (), key: Key[Array, ""] | None = None, *, up=0.0) -> FerroelectricState:
        """State of devices of `shape` saturated to the fraction `up` (0 down, 1 up).

        `key` is needed by kinetics with random domains.
        """
        return FerroelectricState(self.kinetics.init(shape, up, key))

    def apply(
        self,
        state: FerroelectricState,
        pulse: Pulse,
        key: Key[Array, ""] | None = None,
        *,
        temperature=ROOM_TEMPERATURE,
    ) -> FerroelectricState:
        """State after one rectangular pulse; draws, where there are any, come from the state's own stream."""
        return self._expose(state, self.field(pulse.voltage), pulse.width, temperature)

    def _expose(self, state, field, width, temperature):
        devices = self.kinetics.polarisation(state.film).shape
        given = jnp.broadcast_shapes(jnp.shape(field), jnp.shape(width))
        if len(given) > len(devices) or jnp.broadcast_shapes(given, devices) != devices:
            raise InputError("pulse", f"fit the devices' shape {devices}", f"of shape {given}", "init more devices")
        return FerroelectricState(self.kinetics.expose(state.film, field, width, temperature))

    def wait(self, state, seconds, temperature=ROOM_TEMPERATURE) -> FerroelectricState:
        """State after `seconds` [s] at rest at `temperature` [K]: only the built-in field acts."""
        require_duration(seconds)
        return self._expose(state, self.field(jnp.zeros_like(self.t)), NANOSECONDS * seconds, temperature)

    def polarisation(self, state: FerroelectricState) -> Float[Array, "*devices"]:
        """P = P_r p [uC/cm2]."""
        return self.P_r * self.kinetics.polarisation(state.film)

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
