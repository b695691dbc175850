"""The Stanford gap model of a filamentary memristor: one state, the gap between filament and electrode.

X. Guan, S. Yu, H.-S. P. Wong, IEEE Electron Device Lett. 33, 1405 (2012); Z. Jiang, H.-S. P. Wong, Stanford RRAM
model 1.0.0, nanoHUB (2014), 10.4231/D37H1DN48:

    I     = I_0 exp(-g/g_0) sinh(V/V_0)
    dg/dt = -v_0 exp(-E_a/kT) sinh[gamma a_0 V/(t_ox kT)]
    gamma = gamma_0 - beta (g/1 nm)^3,      T = T_ini + R_th |V I|

V > 0 sets. The gap stays between g_min and g_max. The current depends on the gap and the voltage alone, so at a
given voltage the gap moves one way at a rate that is its function, and a pulse is integrated over the gap
(`hfsim.devices.memristor.filament.passage`): closed form between `nodes` places, ln(rate) linear between them; no
stiffness, error 1/nodes^2. Where gamma falls to 0 (g = 2.71 nm) nothing moves; the published code lets it turn
negative there.

Published variants left out: the gap's own fluctuation (spread parameters with `hfsim.devices.variability`) and the
minimum field below which the published gamma is 0. Nothing moves without voltage: no retention.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.memristor.filament import ln_2_sinh, passage
from hfsim.devices.pulse import Pulse, require_duration
from hfsim.errors import InputError
from hfsim.parameters import parameter
from hfsim.units import ROOM_TEMPERATURE, thermal_voltage

_EXPONENT_MAX = 60.0  # of g/g_0 and V/V_0
_LN_RATE_MIN, _LN_RATE_MAX = -60.0, 20.0  # of rates in nm/ns
_GAMMA_MIN = 1e-3  # below which nothing moves: the rate is that of a thousandth of the field
_NM_NS = 1.0  # 1 m/s = 1 nm/ns


class StanfordState(eqx.Module):
    """Gap g [nm] of each device."""

    g: Float[Array, "*devices"]


class Stanford(AbstractMemristor):
    """A memristor whose gap opens and closes."""

    I_0: Float[Array, "..."] = parameter(unit="uA", bounds=(1e-3, 1e5), doc="current at closed gap", logarithmic=True)
    g_0: Float[Array, "..."] = parameter(unit="nm", bounds=(0.05, 2.0), doc="decay of the current with the gap")
    V_0: Float[Array, "..."] = parameter(unit="V", bounds=(0.05, 2.0), doc="voltage scale of the current")
    v_0: Float[Array, "..."] = parameter(unit="m/s", bounds=(1e-6, 1e6), doc="velocity prefactor", logarithmic=True)
    E_a: Float[Array, "..."] = parameter(unit="eV", bounds=(0.1, 2.0), doc="activation energy")
    a_0: Float[Array, "..."] = parameter(unit="nm", bounds=(0.05, 1.0), doc="hopping distance")
    t_ox: Float[Array, "..."] = parameter(unit="nm", bounds=(1.0, 50.0), doc="oxide thickness")
    gamma_0: Float[Array, "..."] = parameter(unit="1", bounds=(1.0, 40.0), doc="field enhancement at closed gap")
    beta: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 5.0), doc="fall of the enhancement with (g/nm)^3")
    R_th: Float[Array, "..."] = parameter(unit="K/V uA", bounds=(0.0, 10.0), doc="thermal resistance")
    g_min: Float[Array, "..."] = parameter(unit="nm", bounds=(0.0, 0.5), doc="smallest gap")
    g_max: Float[Array, "..."] = parameter(unit="nm", bounds=(0.6, 5.0), doc="largest gap")
    V_read: Float[Array, "..."] = parameter(unit="V", bounds=(1e-3, 1.0), doc="voltage at which conductance is read")
    nodes: int = eqx.field(static=True, default=48)

    def __check_init__(self):
        if not isinstance(self.nodes, int) or not 4 <= self.nodes <= 4096:
            raise InputError("nodes", "be an integer from 4 to 4096", repr(self.nodes), "48 is the default")

    def init(self, shape: tuple[int, ...], key: Key[Array, ""] | None = None) -> StanfordState:
        """Devices of `shape` with the gap at g_max; `key` is not needed."""
        return StanfordState(jnp.zeros(shape, jnp.result_type(self.g_max)) + self.g_max)

    def ln_rate(self, g, voltage, temperature) -> Float[Array, "..."]:
        """ln of |dg/dt| [nm/ns] at gap `g` [nm] under |`voltage`| [V]."""
        V = jnp.abs(voltage)
        kT = thermal_voltage(temperature + self.R_th * V * self.gap_current(g, V))
        gamma = jnp.maximum(self.gamma_0 - self.beta * g**3, _GAMMA_MIN)
        ln_rate = jnp.log(0.5 * _NM_NS * self.v_0) - self.E_a / kT + ln_2_sinh(gamma * self.a_0 * V / (self.t_ox * kT))
        return jnp.clip(ln_rate, _LN_RATE_MIN, _LN_RATE_MAX)

    def apply(
        self, state: StanfordState, pulse: Pulse, key: Key[Array, ""] | None = None, *, temperature=ROOM_TEMPERATURE
    ) -> StanfordState:
        """State after one rectangular pulse on the memristor; nothing is random, so `key` is not needed."""
        V = jnp.broadcast_to(pulse.voltage, state.g.shape)
        moving = V != 0
        V = jnp.where(moving, V, 1.0)
        end = jnp.where(V > 0, jnp.minimum(self.g_min, state.g), jnp.maximum(self.g_max, state.g))
        share = jnp.linspace(0.0, 1.0, self.nodes + 1).reshape((-1,) + (1,) * state.g.ndim)
        places = state.g + (end - state.g) * share.astype(state.g.dtype)
        moved, _ = passage(places, self.ln_rate(places, V, temperature), jnp.where(moving, pulse.width, 0.0))
        return StanfordState(state.g - jnp.sign(V) * moved)

    def wait(self, state: StanfordState, seconds, temperature=ROOM_TEMPERATURE) -> StanfordState:
        """The same state: the model has no retention."""
        require_duration(seconds)
        return state

    def gap_current(self, g, V) -> Float[Array, "..."]:
        """I_0 exp(-g/g_0) sinh(V/V_0) [uA]."""
        decay = jnp.exp(-jnp.minimum(g / self.g_0, _EXPONENT_MAX))
        return self.I_0 * decay * jnp.sinh(jnp.clip(V / self.V_0, -_EXPONENT_MAX, _EXPONENT_MAX))

    def current(self, state: StanfordState, voltage) -> Float[Array, "*devices"]:
        """Current [uA] at `voltage` [V]."""
        return self.gap_current(state.g, voltage)

    def conductance(self, state: StanfordState) -> Float[Array, "*devices"]:
        """Conductance [uS] at V_read."""
        return self.gap_current(state.g, self.V_read) / self.V_read
