"""The filamentary HfO2 memristor whose level is set by the compliance current of its select transistor.

D. Ielmini, IEEE Trans. Electron Devices 58, 4309 (2011): the filament grows until the cell's voltage has
fallen to V_C, whatever the current that the transistor allows, so

    G = I_cc/V_C        (a SET only grows the filament: never below what RESET left)

RESET leaves G_reset, log-normal. Each SET lands with a Gaussian spread `sigma_set`, the same at all levels
(8.7 uS over the published transfers, which contains their read-out; draws are not clipped at 0). After that
the conductance relaxes in logarithmic time:

    G(t) = G_set exp(-nu u) + sigma_u W(u),    u = ln(1 + t_eff/t_0)

(a power law of time, (1 + t/t_0)^-nu) with one Brownian path W per device and t_eff in Arrhenius-accelerated
seconds. The article states levels that are stable for a month and no law; `nu` and `sigma_u` are chosen in the
card and swept in the report.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from hfsim.devices.pulse import require_duration
from hfsim.devices.relaxation import Clock, arrhenius_acceleration, brownian_path, log_time
from hfsim.draws import address, normal, require_key, stream
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE


class MemristorState(eqx.Module):
    """State of an array of memristors programmed together.

    `programmed` is the conductance [uS] at programming; `clock` the time since; `event` counts programmings;
    `key` is the array's constant stream: (key, event) addresses every draw.
    """

    programmed: Float[Array, "*devices"]
    clock: Clock
    event: Int[Array, ""]
    key: Key[Array, ""]


class Memristor(PhysicalModel):
    """A formed memristor, set by compliance."""

    V_C: Float[Array, "..."] = parameter(
        unit="V", bounds=(0.05, 5.0), doc="cell voltage at which the filament stops growing"
    )
    G_reset: Float[Array, "..."] = parameter(
        unit="uS", bounds=(1e-4, 1e3), doc="median conductance after RESET", logarithmic=True
    )
    sigma_reset: Float[Array, "..."] = parameter(
        unit="1", bounds=(0.0, 3.0), doc="standard deviation of ln G after RESET"
    )
    sigma_set: Float[Array, "..."] = parameter(
        unit="uS", bounds=(0.0, 100.0), doc="standard deviation of G after SET, all levels"
    )
    nu: Float[Array, "..."] = parameter(
        unit="1", bounds=(0.0, 1.0), doc="relative loss of conductance per e-fold of time"
    )
    sigma_u: Float[Array, "..."] = parameter(
        unit="uS", bounds=(0.0, 50.0), doc="diffusion of the conductance per square root of an e-fold of time"
    )
    t_0: Float[Array, "..."] = parameter(unit="s", bounds=(1e-9, 1e6), doc="onset of relaxation", logarithmic=True)
    E_relax: Float[Array, "..."] = parameter(unit="eV", bounds=(0.0, 4.0), doc="activation energy of relaxation")

    def __check_init__(self):
        for name in ("t_0", "E_relax"):
            if jnp.ndim(getattr(self, name)):
                raise InputError(
                    f"Memristor.{name}", "be one number: an array has one clock", "an array", "vmap over arrays"
                )

    def init(self, shape: tuple[int, ...], key: Key[Array, ""]) -> MemristorState:
        """Freshly reset memristors of `shape`; `key` becomes the array's stream."""
        blank = jnp.zeros(shape, jnp.result_type(self.V_C))
        state = MemristorState(blank, Clock.start(blank.dtype), jnp.int32(0), require_key(key))
        return self.reset(state)

    def program(self, state: MemristorState, conductance: Float[Array, "*devices"]) -> MemristorState:
        """The state after a programming event that left `conductance` [uS]; the clock starts again."""
        return MemristorState(conductance, Clock.start(state.programmed.dtype), state.event + 1, state.key)

    def reset(self, state: MemristorState) -> MemristorState:
        """RESET: G = G_reset exp(sigma_reset N)."""
        return self.program(state, self.reset_conductance(state.programmed.shape, self._event_key(state, "reset")))

    def reset_conductance(self, shape: tuple[int, ...], key: Key[Array, ""]) -> Float[Array, "*devices"]:
        """Draw conductances [uS] that RESET leaves."""
        return self.G_reset * jnp.exp(self.sigma_reset * normal(key, shape, self.V_C.dtype))

    def set(self, state: MemristorState, I_cc: Float[Array, "*devices"]) -> MemristorState:
        """SET at compliance current `I_cc` [uA]: G = max(I_cc/V_C, G before) + sigma_set N."""
        landed = jnp.maximum(self.mean_conductance(I_cc), self.conductance(state))
        key = self._event_key(state, "set")
        return self.program(state, landed + self.sigma_set * normal(key, landed.shape, landed.dtype))

    def mean_conductance(self, I_cc) -> Float[Array, "..."]:
        """G = I_cc/V_C [uS] of a compliance current [uA]."""
        return I_cc / self.V_C

    def conductance(self, state: MemristorState) -> Float[Array, "*devices"]:
        """Conductance [uS] now; reading changes nothing."""
        u = log_time(state.clock.seconds, self.t_0)
        path = brownian_path(self._event_key(state, "relaxation"), u, state.programmed.shape)
        return state.programmed * jnp.exp(-self.nu * u) + self.sigma_u * path

    def wait(self, state: MemristorState, seconds, temperature=ROOM_TEMPERATURE) -> MemristorState:
        """State after `seconds` [s] at `temperature` [K]; waits compose in value."""
        require_duration(seconds)
        aged = seconds * arrhenius_acceleration(self.E_relax, temperature)
        return eqx.tree_at(lambda s: s.clock, state, state.clock.advance(jnp.asarray(aged, state.clock.seconds.dtype)))

    def _event_key(self, state: MemristorState, name: str) -> Key[Array, ""]:
        return address(stream(state.key, name), state.event)
