"""Leakage and diffusion of a weight at rest: an Ornstein-Uhlenbeck process.

    dw = -(w - w_0)/tau dt + sqrt(2 D) dW:    w(t) = w_0 + (w - w_0) e^(-t/tau) + sqrt(D tau (1 - e^(-2t/tau))) N

exactly, for any t (G. E. Uhlenbeck and L. S. Ornstein, Phys. Rev. 36, 823 (1930)); time runs faster with
temperature by Arrhenius' law. Decay composes in value, `wait(a)` then `wait(b)` being `wait(a + b)`; the diffusion
composes in distribution: pulses reach each device at times of its own, so an array has no common start of a path.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.devices.relaxation import arrhenius_acceleration
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE


class WeightDecay(PhysicalModel):
    """How a weight is lost at rest."""

    tau: Float[Array, "..."] = parameter(
        unit="s", bounds=(1e-6, 1e12), doc="lifetime: time constant of the decay", logarithmic=True
    )
    w_0: Float[Array, "..."] = parameter(unit="1", bounds=(-10.0, 10.0), doc="weight towards which it decays")
    D: Float[Array, "..."] = parameter(unit="1/s", bounds=(0.0, 1e6), doc="diffusion: the variance grows by 2 D t")
    E_a: Float[Array, "..."] = parameter(unit="eV", bounds=(0.0, 2.0), doc="activation energy of both")

    def age(self, w, seconds, temperature=ROOM_TEMPERATURE) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """Mean and standard deviation of the weight after `seconds` [s] at `temperature` [K]."""
        x = seconds * arrhenius_acceleration(self.E_a, temperature) / self.tau
        variance = self.D * self.tau * -jnp.expm1(-2 * x)
        spread = variance > 0
        return self.w_0 + (w - self.w_0) * jnp.exp(-x), jnp.where(spread, jnp.sqrt(jnp.where(spread, variance, 1)), 0)
