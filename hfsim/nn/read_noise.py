"""Noise of one read as a law of the conductance and of the time since programming.

    CMOReadNoise    sigma = f K log10(G) L(t)                  0 up to the duration of one read, and below 1 uS
    PCMReadNoise    sigma = G min(Q_max, Q_0/r^p) L(t + t_0)   r = G/G_max
    L(t) = sqrt(ln((t + t_r)/(2 t_r)))

These are the laws of `hfsim.devices.retention` at a given conductance and `age`, for layers whose weights are what
the devices read as: there no trajectory is known, and none is drawn. PCM's r is the conductance as programmed; here it
is that at the read, so drift since then is not undone in Q.
"""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.cards import Card
from hfsim.devices.relaxation import log_read_time
from hfsim.devices.retention import PCMRetention
from hfsim.devices.retention.pcm import R_MIN
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter, specifications
from hfsim.units import NANOSECONDS


class AbstractReadNoise(PhysicalModel):
    """Deviation of one read, `age` [s] after programming."""

    age: eqx.AbstractVar[Float[Array, ""]]

    @abc.abstractmethod
    def sigma(self, G: Float[Array, "..."]) -> Float[Array, "..."]:
        """Standard deviation [uS] of one read of `G` [uS]."""


class CMOReadNoise(AbstractReadNoise):
    """CMO/HfOx: D. F. Falcone et al., Adv. Funct. Mater. (2025), doi 10.1002/adfm.202504688."""

    K_read: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 10.0), doc="read noise per decade of conductance")
    read_factor: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 10.0), doc="factor on the read noise")
    t_read: Float[Array, ""] = parameter(unit="ns", bounds=(1.0, 1e9), doc="duration of a read", logarithmic=True)
    age: Float[Array, ""] = parameter(unit="s", bounds=(0.0, 1e12), doc="time since programming", default=1.0)

    def sigma(self, G):
        late = log_read_time(self.age, self.t_read / NANOSECONDS)
        return self.read_factor * self.K_read * jnp.log10(jnp.maximum(G, 1.0)) * late


class PCMReadNoise(AbstractReadNoise):
    """Phase-change memory: S. R. Nandakumar et al., IEEE ICECS (2019), IEEE Xplore document 8964852."""

    G_max: Float[Array, ""] = parameter(unit="uS", bounds=(0.1, 1e3), doc="conductance at r = 1", logarithmic=True)
    Q_0: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1.0), doc="relative read noise at r = 1")
    Q_power: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 2.0), doc="power of 1/r in the read noise")
    Q_max: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1.0), doc="largest relative read noise")
    t_0: Float[Array, ""] = parameter(unit="s", bounds=(1e-6, 1e6), doc="time of the first read", logarithmic=True)
    t_read: Float[Array, ""] = parameter(unit="ns", bounds=(1.0, 1e9), doc="duration of a read", logarithmic=True)
    age: Float[Array, ""] = parameter(unit="s", bounds=(0.0, 1e12), doc="time since the first read", default=0.0)

    def sigma(self, G):
        r = jnp.maximum(jnp.abs(G) / self.G_max, R_MIN)
        Q = jnp.minimum(self.Q_max, self.Q_0 * jnp.exp(-self.Q_power * jnp.log(r)))
        return jnp.abs(G) * Q * log_read_time(self.age + self.t_0, self.t_read / NANOSECONDS)


def read_noise(card: Card, **options: Any) -> AbstractReadNoise | None:
    """The law in the card's section `[retention]`; None for a card whose section gives no read noise.

    Args:
        card: a card with that section.
        options: `age` [s], or what replaces the card's values.

    Raises:
        InputError: no such section, or an age for a card without read noise.
    """
    entries = card.section("retention")
    for law, other in ((PCMReadNoise, PCMRetention), (CMOReadNoise, None)):
        names = set(specifications(law)) - {"age"}
        if names <= set(entries) and (other is None or set(entries) <= set(specifications(other))):
            values = {name: card.quantity("retention", name, specifications(law)[name].unit) for name in names}
            return law(**{**values, **options})
    if options:
        raise InputError("card", f"give a read noise for {', '.join(options)}", repr(card.name))
    return None
