"""The ferroelectric capacitor as a finite number of stochastic domains.

Same model and sources as `hfsim.devices.ferroelectric`: each domain has an activation field
E_a = b (Y/(1 - Y))^(1/a), Y ~ Beta(p, q), drawn once, and one history h; it flips in a step with probability
1 - exp(h_old^beta - h_new^beta). It is the reference for the mean field's closure, and shows the noise of a
capacitor of few domains. Sampling is not differentiable: the mean field is.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from hfsim.devices.ferroelectric import FerroelectricCapacitor
from hfsim.devices.pulse import Pulse
from hfsim.draws import require_key
from hfsim.errors import InputError
from hfsim.units import ROOM_TEMPERATURE


class DomainState(eqx.Module):
    """Domains of devices of some shape: orientation, history, activation field [MV/cm]."""

    up: Bool[Array, "domains *devices"]
    history: Float[Array, "domains *devices"]
    E_a: Float[Array, "domains *devices"]


class FerroelectricDomains(eqx.Module):
    """A FeCAP with `domains` stochastic domains, each of the same share of 2 P_r S."""

    capacitor: FerroelectricCapacitor
    domains: int = eqx.field(static=True, default=256)

    def __check_init__(self):
        if not isinstance(self.domains, int) or self.domains < 1:
            raise InputError("domains", "be an integer >= 1", repr(self.domains))

    def init(self, shape: tuple[int, ...], key: Key[Array, ""], *, up: bool = False) -> DomainState:
        """Draw the domains' activation fields; all are `up` or all down."""
        kinetics, size = self.capacitor.kinetics, (self.domains, *shape)
        one, two = jax.random.split(require_key(key))
        # ln(Y/(1-Y)) of a Beta variable from two log-gammas: no rounding at the ends
        logit = jax.random.loggamma(one, kinetics.p, size) - jax.random.loggamma(two, kinetics.q, size)
        E_a = kinetics.b * jnp.exp(logit / kinetics.a)
        return DomainState(jnp.full(size, up), jnp.zeros_like(E_a), E_a)

    def apply(
        self, state: DomainState, pulse: Pulse, key: Key[Array, ""], *, temperature=ROOM_TEMPERATURE
    ) -> DomainState:
        """State after one rectangular pulse; `key` draws which domains flip."""
        capacitor, kinetics = self.capacitor, self.capacitor.kinetics
        field = capacitor.driving_field(capacitor.field(pulse.voltage), temperature)
        progress = kinetics.progress(state.E_a, field, pulse.width)
        opposed = state.up != (field > 0)
        grown = kinetics.grown(state.history, progress)
        chance = -jnp.expm1(kinetics.hazard(state.history) - kinetics.hazard(grown))
        flips = opposed & (jax.random.uniform(require_key(key), chance.shape, chance.dtype) < chance)
        rested = jnp.maximum(state.history - progress, 0.0)
        history = jnp.where(flips, 0.0, jnp.where(opposed, grown, rested))
        return DomainState(state.up ^ flips, history, state.E_a)

    def polarisation(self, state: DomainState) -> Float[Array, "*devices"]:
        """P = P_r (2 s - 1) [uC/cm2]."""
        return self.capacitor.P_r * (2 * jnp.mean(state.up, axis=0) - 1)
