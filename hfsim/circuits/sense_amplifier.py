"""The latch sense amplifier: a comparison with offset and noise."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from hfsim.draws import normal
from hfsim.estimators import AbstractEstimator
from hfsim.parameters import PhysicalModel, parameter


class SenseAmplifier(PhysicalModel):
    """Decides whether a line is above a reference: P(1) = Phi[(V - V_ref - V_os)/sigma_n].

    V_os is each amplifier's own offset, drawn once by `sample` with spread sigma_os; sigma_n is the noise of a
    single decision.
    """

    V_ref: Float[Array, "..."] = parameter(unit="V", bounds=(-5.0, 5.0), doc="reference voltage")
    sigma_os: Float[Array, "..."] = parameter(
        unit="mV", bounds=(0.0, 500.0), doc="spread of the offset between amplifiers"
    )
    sigma_n: Float[Array, "..."] = parameter(
        unit="mV", bounds=(1e-3, 500.0), doc="noise of one decision", logarithmic=True
    )
    V_os: Float[Array, "..."] = parameter(unit="V", bounds=(-5.0, 5.0), doc="this amplifier's offset", default=0.0)

    def sample(self, shape: tuple[int, ...], key: Key[Array, ""]) -> "SenseAmplifier":
        """Amplifiers of `shape`, each with its offset."""
        return eqx.tree_at(lambda m: m.V_os, self, 1e-3 * self.sigma_os * normal(key, shape, self.V_ref.dtype))

    def margin(self, voltage) -> Float[Array, "..."]:
        """(V - V_ref - V_os)/sigma_n."""
        return (voltage - self.V_ref - self.V_os) / (1e-3 * self.sigma_n)

    def probability(self, voltage) -> Float[Array, "..."]:
        """Probability that the amplifier says 1 at line `voltage` [V]; differentiable."""
        return jax.scipy.stats.norm.cdf(self.margin(voltage))

    def decide(self, voltage, key: Key[Array, ""], estimator: AbstractEstimator) -> Float[Array, "..."]:
        """One decision, 0 or 1, with noise from `key`; `estimator` says how it is differentiated."""
        margin = self.margin(voltage)
        return estimator.step(margin + normal(key, margin.shape, margin.dtype))
