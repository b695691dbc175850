"""Cycle-to-cycle noise of one pulse: the standard deviation of a step, in units of weight.

A step is Delta(w) + std N with N standard normal, so that a noisy device may step backwards, as measured ones do.
"""

import abc

from jaxtyping import Array, Float

from hfsim.parameters import PhysicalModel, parameter


class AbstractCycleNoise(PhysicalModel):
    """How much a step varies from pulse to pulse."""

    @abc.abstractmethod
    def deviation(self, step: Float[Array, "..."], w: Float[Array, "..."], dw_min) -> Float[Array, "..."]:
        """Standard deviation of a step of mean size `step`, taken at `w` by a device of granularity `dw_min`."""


class AdditiveNoise(AbstractCycleNoise):
    """std = sigma dw_min: the same at every weight and in both directions."""

    sigma: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 10.0), doc="standard deviation over dw_min")

    def deviation(self, step, w, dw_min):
        return self.sigma * dw_min + 0 * step


class ProportionalNoise(AbstractCycleNoise):
    """std = sigma |step|: gone where the step is."""

    sigma: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 10.0), doc="standard deviation over the mean step")

    def deviation(self, step, w, dw_min):
        return self.sigma * abs(step)


class CompoundNoise(AbstractCycleNoise):
    """std = sigma (c + |step| + m |w|): a floor, a share of the step and one of the weight.

    Source: form fitted to phase-change memory by S. R. Nandakumar et al., Front. Neurosci. 14, 406 (2020).
    """

    sigma: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 10.0), doc="common factor")
    c: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1.0), doc="floor, in weight")
    m: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1.0), doc="share of |w|")

    def deviation(self, step, w, dw_min):
        return self.sigma * (self.c + abs(step) + self.m * abs(w))
