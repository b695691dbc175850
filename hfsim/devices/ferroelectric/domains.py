"""Nucleation-limited switching of a finite number of stochastic domains.

Same model and sources as `hfsim.devices.ferroelectric.gb2`. Each domain has an activation field
E_a = b (Y/(1 - Y))^(1/a), Y ~ Beta(p, q), and a built-in field drawn once, one history h, and for each of its lives
a unit exponential variable -ln u. It flips once its hazard, the sum of h_new^beta - h_old^beta over the steps that
oppose it, passes -ln u: that is a flip with probability 1 - exp(h_old^beta - h_new^beta) in each step, and under a
constant field a flip time

    t = tau (-ln u)^(1/beta)

so flip times are reparameterised. The pathwise gradient of a flip time in every parameter of the kinetics is exact
(`flip_times`; that of p and q through the implicit derivative of the gamma variables). The polarisation at a given
time is a step in ln(t/t_flip), whose pathwise gradient is zero almost everywhere: `estimator` says what is
differentiated in its place. `StraightThrough(width)` spreads each step over `width` in the logarithm of the hazard,
forward exact; its gradient is unbiased as the number of domains grows and the width falls.

It is the reference for the mean field's closure, and shows the noise of a capacitor of few domains.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from hfsim.devices.ferroelectric.gb2 import LN_E_MAX, GB2Kinetics
from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.draws import address, normal, require_key, stream
from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator, StraightThrough

_HAZARD_MIN = 1e-30  # below it a domain has not begun to switch; its logarithm is finite


class DomainState(eqx.Module):
    """Domains of devices of some shape, and the array's stream.

    Orientation (0 or 1), history h, hazard gathered in this life, -ln u of this life, E_a/b, E_off/sigma;
    `event` counts exposures: (key, event) addresses the draws.
    """

    up: Float[Array, "domains *devices"]
    history: Float[Array, "domains *devices"]
    hazard: Float[Array, "domains *devices"]
    threshold: Float[Array, "domains *devices"]
    activation: Float[Array, "domains *devices"]
    offset: Float[Array, "domains *devices"]
    event: Int[Array, ""]
    key: Key[Array, ""]


class GB2Domains(AbstractKinetics):
    """`domains` stochastic domains of equal weight."""

    ensemble: GB2Kinetics
    estimator: AbstractEstimator = eqx.field(default_factory=lambda: StraightThrough(0.3))  # pyright: ignore[reportArgumentType]
    domains: int = eqx.field(static=True, default=256)

    def __check_init__(self):
        if not isinstance(self.domains, int) or self.domains < 1:
            raise InputError("domains", "be an integer >= 1", repr(self.domains))

    def init(self, shape: tuple[int, ...], up=0.0, key: Key[Array, ""] | None = None) -> DomainState:
        """Draw the domains; each is up with probability `up`."""
        key, size = require_key(key), (self.domains, *shape)
        kinetics, dtype = self.ensemble, jnp.result_type(self.ensemble.b)
        # ln(Y/(1-Y)) of a Beta variable from two log-gammas: no rounding at the ends
        one = jax.random.loggamma(stream(key, "lower"), kinetics.p.astype(jnp.float32), size, jnp.float32)
        two = jax.random.loggamma(stream(key, "upper"), kinetics.q.astype(jnp.float32), size, jnp.float32)
        activation = jnp.exp(jnp.clip((one - two).astype(dtype) / kinetics.a, -LN_E_MAX, LN_E_MAX))
        # orientations are stratified: an array's mean is `up` to within one domain
        place = (jnp.arange(self.domains) + 0.5).reshape((-1,) + (1,) * len(shape)) / self.domains
        up = jnp.where(place < up, 1.0, 0.0).astype(dtype)
        zero = jnp.zeros(size, dtype)
        offset = normal(stream(key, "offset"), size, dtype)
        return DomainState(
            zero + up, zero, zero, self._thresholds(key, 0, size, dtype), activation, offset, jnp.int32(0), key
        )

    def expose(self, state: DomainState, field, width, temperature) -> DomainState:
        kinetics = self.ensemble
        scaled = kinetics.fields(field, state.offset, state.up.ndim, temperature)
        progress = kinetics.progress(state.activation, scaled, width)
        is_up = state.up > 0.5
        opposed = is_up != (scaled > 0)
        grown = kinetics.grown(state.history, progress)
        hazard = state.hazard + jnp.where(opposed, kinetics.hazard(grown) - kinetics.hazard(state.history), 0.0)
        lateness = jnp.log(jnp.maximum(hazard, _HAZARD_MIN)) - jnp.log(state.threshold)
        flipped = opposed & (lateness >= 0) & (hazard > 0)
        moved = jnp.where(opposed, self.estimator.step(lateness), 0.0)
        event = state.event + 1
        fresh = self._thresholds(state.key, event, state.up.shape, state.up.dtype)
        rested = jnp.maximum(state.history - progress, 0.0)
        return DomainState(
            up=state.up + jnp.where(is_up, -moved, moved),
            history=jnp.where(flipped, 0.0, jnp.where(opposed, grown, rested)),
            hazard=jnp.where(flipped, 0.0, hazard),
            threshold=jnp.where(flipped, fresh, state.threshold),
            activation=state.activation,
            offset=state.offset,
            event=event,
            key=state.key,
        )

    def polarisation(self, state: DomainState) -> Float[Array, "*devices"]:
        return 2 * jnp.mean(state.up, axis=0) - 1

    def flip_times(self, state: DomainState, field, temperature) -> Float[Array, "domains *devices"]:
        """Time [ns] until each domain would flip under a constant `field` [MV/cm]; infinite where it is aligned."""
        kinetics = self.ensemble
        scaled = kinetics.fields(field, state.offset, state.up.ndim, temperature)
        rate = kinetics.progress(state.activation, scaled, 1.0)
        opposed = ((state.up > 0.5) != (scaled > 0)) & (rate > 0)
        missing = jnp.maximum(state.threshold - state.hazard, 0.0) + kinetics.hazard(state.history)
        history = jnp.exp(jnp.log(jnp.maximum(missing, _HAZARD_MIN)) / kinetics.beta)
        return jnp.where(opposed, (history - state.history) / jnp.where(opposed, rate, 1.0), jnp.inf)

    @staticmethod
    def _thresholds(key, event, shape, dtype):
        draw = jax.random.exponential(address(stream(key, "thresholds"), event), shape, jnp.float32)
        return jnp.maximum(draw, _HAZARD_MIN).astype(dtype)
