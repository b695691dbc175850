"""What a model says of a measured curve, row by row: ready-made for switching pulses, loops, trains and sweeps.

    predicted = prediction(model, trace),      compared with prediction.measured(trace)

A prediction of your own is a function wrapped in `Prediction`. Traces of several lengths are brought to one by
repeating their last row, which then counts for nothing: so predict in the order of the rows, and from earlier rows.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.devices.ferroelectric.measurements import transient
from hfsim.devices.pulse import Pulse
from hfsim.devices.waveform import Waveform
from hfsim.errors import InputError
from hfsim.io.traces import Trace
from hfsim.units import CHARGE_OF_POLARISATION, NANOSECONDS, ROOM_TEMPERATURE


class AbstractPrediction(eqx.Module):
    """How a model predicts a column of a trace.

    `observed` is the column, `offset` says that a constant of each trace is unknown and taken out, `given` is the
    number of first rows that set the state and are not predicted.
    """

    observed: eqx.AbstractVar[str]
    offset: eqx.AbstractVar[bool]
    given: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, model: Any, trace: Trace) -> Float[Array, " rows"]:
        """The model's values for the rows of a trace, on the scale of `measured`."""

    def measured(self, trace: Trace) -> Float[Array, " rows"]:
        """What the prediction is compared with."""
        return jnp.asarray(trace[self.observed])

    def unit(self, trace: Trace) -> str:
        """Of both."""
        return trace.units[self.observed]


class Prediction(AbstractPrediction):
    """A function of your own: (model, trace) to the values of the column `observed`."""

    function: Callable[[Any, Trace], Float[Array, " rows"]] = eqx.field(static=True)
    observed: str = eqx.field(static=True)
    offset: bool = eqx.field(static=True)
    given: int = eqx.field(static=True)

    def __init__(self, function: Callable[[Any, Trace], Any], observed: str, *, offset: bool = False, given: int = 0):
        if not callable(function):
            raise InputError("function", "take (model, trace)", type(function).__name__)
        if not isinstance(given, int) or given < 0:
            raise InputError("given", "be an integer >= 0", repr(given))
        self.function, self.observed, self.offset, self.given = function, observed, offset, given

    def __call__(self, model, trace):
        return self.function(model, trace)


class SwitchingPulses(AbstractPrediction):
    """P [uC/cm2] of a `FerroelectricCapacitor` after one pulse of `amplitude` and `width` from saturation against it.

    `observed` is "polarisation", of which -P_r is where a positive pulse starts, or "switched", what the pulse moved.
    """

    observed: str = eqx.field(static=True, default="polarisation")
    offset: bool = eqx.field(static=True, default=False)
    given: int = eqx.field(static=True, default=0)
    temperature: Any = ROOM_TEMPERATURE

    def __check_init__(self):
        if self.observed not in ("polarisation", "switched"):
            raise InputError("observed", "be polarisation or switched", repr(self.observed))

    def __call__(self, model, trace):
        voltage, width = jnp.asarray(trace["amplitude"]), jnp.asarray(trace["width"])
        start = model.init(voltage.shape, up=jnp.where(voltage > 0, 0.0, 1.0))
        after = model.apply(start, Pulse(voltage, width), temperature=self.temperature)
        before = model.polarisation(start) if self.observed == "switched" else 0.0
        return model.polarisation(after) - before


class PolarisationLoop(AbstractPrediction):
    """Polarisation of a `FerroelectricCapacitor` as an integrating amplifier shows it, leakage and dielectric included.

        P = Q/(10 S),    up to a constant

    The trace's voltage is followed from sample to sample, `cycles` times from saturation down; the last counts. Without
    a column "time" its samples share `period` [ns] evenly.
    """

    cycles: int = eqx.field(static=True, default=2)
    observed: str = eqx.field(static=True, default="polarisation")
    offset: bool = eqx.field(static=True, default=True)
    given: int = eqx.field(static=True, default=0)
    period: Float[Array, ""] | float | None = None
    temperature: Any = ROOM_TEMPERATURE

    def __check_init__(self):
        if not isinstance(self.cycles, int) or self.cycles < 1:
            raise InputError("cycles", "be an integer >= 1", repr(self.cycles))

    def __call__(self, model, trace):
        voltage = jnp.asarray(trace["voltage"])
        width = jnp.tile(jnp.diff(sample_times(trace, self.period)), self.cycles)
        middle = jnp.tile(0.5 * (voltage[1:] + voltage[:-1]), self.cycles)
        waveform = Waveform(Pulse(middle, width), jnp.cumsum(width), jnp.tile(voltage[1:], self.cycles))
        _, seen = transient(model, model.init(()), waveform, temperature=self.temperature)
        charge = jnp.concatenate([jnp.zeros_like(seen.charge[:1]), seen.charge])[-voltage.shape[0] :]
        return charge / (CHARGE_OF_POLARISATION * model.S)


class IdenticalPulses(AbstractPrediction):
    """Conductance [uS] of a pulsed device along a ramp of `direction` +1 or -1, from the first one measured."""

    observed: str = eqx.field(static=True, default="conductance")
    offset: bool = eqx.field(static=True, default=False)
    given: int = eqx.field(static=True, default=1)

    def __call__(self, model, trace):
        G, direction = jnp.asarray(trace["conductance"]), jnp.asarray(trace["direction"])
        start = model.program(model.init(()), (G[0] - model.G_0) / model.g).w

        def pulse(w, sign):
            w = model.stepped(w, sign, None)
            return w, w

        w = jnp.concatenate([start[None], jax.lax.scan(pulse, start, direction[1:])[1]])
        return model.G_0 + model.g * w


class VoltagePulses(AbstractPrediction):
    """Conductance [uS] of a memristor after each pulse of `voltage` and `width`, from a fresh device or from `start`.

    `start(model)` gives the state before the first pulse.
    """

    observed: str = eqx.field(static=True, default="conductance")
    offset: bool = eqx.field(static=True, default=False)
    given: int = eqx.field(static=True, default=0)
    start: Callable[[Any], Any] | None = eqx.field(static=True, default=None)
    temperature: Any = ROOM_TEMPERATURE

    def __call__(self, model, trace):
        def pulse(state, drive):
            state = model.apply(state, Pulse(*drive), temperature=self.temperature)
            return state, model.conductance(state)

        drives = jnp.asarray(trace["voltage"]), jnp.asarray(trace["width"])
        return jax.lax.scan(pulse, model.init(()) if self.start is None else self.start(model), drives)[1]


class CurrentSweep(AbstractPrediction):
    """Current [uA] of a memristor along a sweep of its voltage, which moves its state as it goes.

    Times are the trace's, or those of a sweep of `rate` [V/s]. With `logarithmic` it is log10(|I| + `floor`/uA), in
    decades: use it where currents span several.
    """

    logarithmic: bool = eqx.field(static=True, default=False)
    observed: str = eqx.field(static=True, default="current")
    offset: bool = eqx.field(static=True, default=False)
    given: int = eqx.field(static=True, default=0)
    floor: float = eqx.field(static=True, default=1e-6)
    rate: Float[Array, ""] | float | None = None
    start: Callable[[Any], Any] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if not self.floor > 0:
            raise InputError("floor", "be above 0 uA", self.floor)

    def __call__(self, model, trace):
        voltage = jnp.asarray(trace["voltage"])
        rise = jnp.abs(jnp.diff(voltage))
        width = jnp.diff(sample_times(trace, None)) if self.rate is None else NANOSECONDS * rise / self.rate

        def sample(state, step):
            middle, width, end = step
            state = model.apply(state, Pulse(middle, width))
            return state, model.current(state, end)

        state = model.init(()) if self.start is None else self.start(model)
        steps = (0.5 * (voltage[1:] + voltage[:-1]), width, voltage[1:])
        current = jax.lax.scan(sample, state, steps)[1]
        return self._scaled(jnp.concatenate([jnp.reshape(model.current(state, voltage[0]), (1,)), current]))

    def measured(self, trace):
        return self._scaled(jnp.asarray(trace["current"]))

    def unit(self, trace):
        return "1" if self.logarithmic else trace.units["current"]

    def _scaled(self, current):
        return jnp.log10(jnp.abs(current) + self.floor) if self.logarithmic else current


class LeakageSweep(AbstractPrediction):
    """Current [uA] through the film of a `FerroelectricCapacitor` with leakage, at voltages that do not switch it."""

    observed: str = eqx.field(static=True, default="current")
    offset: bool = eqx.field(static=True, default=False)
    given: int = eqx.field(static=True, default=0)
    temperature: Any = ROOM_TEMPERATURE

    def __call__(self, model, trace):
        if model.leakage is None:
            raise InputError("model", "have a leakage", "None", "pass leakage= to the capacitor")
        field = model.film_field(jnp.asarray(trace["voltage"]), 0.0)
        return model.S * model.leakage.current_density(field, self.temperature)


def sample_times(trace: Trace, period) -> Float[Array, " rows"]:
    """Times of a trace's rows [ns]; without any, `period` evenly shared.

    Raises:
        InputError: there is neither.
    """
    if period is not None:
        return jnp.linspace(0.0, period, len(trace))
    if "time" not in trace:
        raise InputError("time", f"be a column of trace {trace.name}", "missing", "pass period= or rate=")
    return jnp.asarray(trace["time"])
