"""A pulsed memristor that also relaxes: a compact model for its pulses, a retention model for its time at rest.

The compact model of the CMO/HfOx cell has no retention and the statistical model no pulses. Here a pulse first turns
what relaxation left into the cell's own state (the state that reads this conductance), then acts on it, and the clock
starts again: a device that relaxed has relaxed, whoever asks next. A train without waits never inverts.

The conductance that relaxes is the cell's at `ROOM_TEMPERATURE`, whatever the ambient of its pulses and waits.
"""

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.memristor.cmo import CMOCell, CMOState
from hfsim.devices.pulse import Pulse
from hfsim.devices.retention.interface import AbstractRetention, RetentionState
from hfsim.draws import require_key
from hfsim.units import ROOM_TEMPERATURE


class RelaxingState(eqx.Module):
    """The cell as its last pulse left it, and the retention model's state since."""

    cell: CMOState
    rest: RetentionState


class RelaxingMemristor(AbstractMemristor):
    """A CMO/HfOx cell with relaxation and read noise."""

    cell: CMOCell
    retention: AbstractRetention

    def init(self, shape: tuple[int, ...], key: Key[Array, ""] | None = None) -> RelaxingState:
        """Fresh cells of `shape`; `key` becomes the stream of their relaxation."""
        cell = self.cell.init(shape)
        return RelaxingState(
            cell, self.retention.place(self.retention.init(shape, require_key(key)), self.cell.conductance(cell))
        )

    def apply(
        self, state: RelaxingState, pulse: Pulse, key: Key[Array, ""] | None = None, *, temperature=ROOM_TEMPERATURE
    ) -> RelaxingState:
        """State after one pulse on the cell as it has relaxed."""
        relaxed = jax.lax.cond(
            state.rest.clock.seconds > 0,
            lambda s: self.cell.at_conductance(self.conductance(s)).log_C,
            lambda s: s.cell.log_C,
            state,
        )
        cell = self.cell.apply(CMOState(relaxed), pulse, key, temperature=temperature)
        return RelaxingState(cell, self.retention.place(state.rest, self.cell.conductance(cell)))

    def wait(self, state: RelaxingState, seconds, temperature=ROOM_TEMPERATURE) -> RelaxingState:
        """State after `seconds` [s] at rest at `temperature` [K]; waits compose in value."""
        return RelaxingState(state.cell, self.retention.wait(state.rest, seconds, temperature))

    def current(self, state: RelaxingState, voltage, *, temperature=ROOM_TEMPERATURE) -> Float[Array, "*devices"]:
        """Current [uA] at `voltage` [V] and ambient `temperature` [K] of the cell as it has relaxed."""
        return self.cell.current(self.cell.at_conductance(self.conductance(state)), voltage, temperature=temperature)

    def conductance(self, state: RelaxingState) -> Float[Array, "*devices"]:
        """Conductance [uS] at the read voltage and room temperature now."""
        return self.retention.conductance(state.rest)

    def read(self, state: RelaxingState, key: Key[Array, ""]) -> Float[Array, "*devices"]:
        """One noisy read [uS]."""
        return self.retention.read(state.rest, key)
