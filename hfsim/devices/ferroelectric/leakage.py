"""Conduction currents through a film: tunnelling, emission from traps, and a plain conductivity.

    Fowler-Nordheim   J = a E^2 exp(-b/|E|)
    Poole-Frenkel     J = q mu N_c E exp{-[phi - beta sqrt(|E|)]/(k_B T)},   beta = sqrt[q/(pi eps0 eps_r)]
    ohmic             J = sigma E exp[-(E_A/k_B)(1/T - 1/300 K)]

R. H. Fowler, L. Nordheim, Proc. R. Soc. A 119, 173 (1928); J. Frenkel, Phys. Rev. 54, 647 (1938).
All are odd in the field, increase with it, and are finite at zero field with their gradients. As used for HfO2
capacitors by Fehlings et al., arXiv:2410.07791 (2024), whose prefactors from barrier height and effective mass are
`FowlerNordheim.of_barrier`. Currents are densities in uA/um2 of a homogeneous film.
"""

import abc

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import BOLTZMANN, ROOM_TEMPERATURE

_POOLE_FRENKEL = 0.5759858  # q/(pi eps0) [V2 cm/MV]: 1.602176634e-19/(pi 8.8541878128e-12) V m x 1e8 /m
_ELEMENTARY_CURRENT = 1.602176634e6  # q x 1 cm2/(V s) x 1 nm^-3 x 1 MV/cm [uA/um2]
_TUNNEL_PREFACTOR = 15414.34  # q^2/(8 pi h) (1 MV/cm)^2/(1 V) [uA/um2]
_TUNNEL_FIELD = 68.30890  # (8 pi/3) sqrt(2 m_e q)/h (1 V)^1.5 [MV/cm]
_FIELD_FLOOR = 1e-9  # MV/cm, under the root and in the quotient
_EXPONENT_MAX = 60.0  # of emission; reached where the barrier has long gone


class AbstractLeakage(PhysicalModel):
    """A conduction current through a film, element-wise over devices."""

    @abc.abstractmethod
    def current_density(self, field, temperature) -> Float[Array, "..."]:
        """Current density [uA/um2] at `field` [MV/cm] and `temperature` [K], of the sign of the field."""


class OhmicLeakage(AbstractLeakage):
    """J = sigma E, thermally activated."""

    sigma: Float[Array, "..."] = parameter(
        unit="uA cm/MV um2", bounds=(0.0, 1e3), doc="conductivity at 300 K, current density over field"
    )
    E_A: Float[Array, "..."] = parameter(
        unit="eV", bounds=(0.0, 3.0), doc="activation energy of the conductivity", default=0.0
    )

    def current_density(self, field, temperature):
        heat = jnp.minimum(self.E_A / BOLTZMANN * (1 / ROOM_TEMPERATURE - 1 / temperature), _EXPONENT_MAX)
        return self.sigma * field * jnp.exp(heat)


class FowlerNordheim(AbstractLeakage):
    """Tunnelling through the triangular top of a barrier: J = a E^2 exp(-b/|E|), the same at any temperature."""

    a: Float[Array, "..."] = parameter(unit="uA cm2/MV2 um2", bounds=(0.0, 1e7), doc="prefactor")
    b: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(0.0, 1e4), doc="characteristic field")

    @classmethod
    def of_barrier(cls, phi, m_eff) -> "FowlerNordheim":
        """a = q^3/(8 pi h q phi), b = (8 pi/3) sqrt[2 m_eff m_e (q phi)^3]/(q h), as Heracles has them.

        Args:
            phi: barrier between electrode and film, V.
            m_eff: effective mass in the film over m_e.
        """
        phi = jnp.asarray(phi, float)
        return cls(a=_TUNNEL_PREFACTOR / phi, b=_TUNNEL_FIELD * jnp.sqrt(m_eff * phi**3))

    def current_density(self, field, temperature):
        magnitude = jnp.maximum(jnp.abs(field), _FIELD_FLOOR)
        return self.a * field * jnp.abs(field) * jnp.exp(-self.b / magnitude)


class PooleFrenkel(AbstractLeakage):
    """Emission from charged traps whose barrier the field lowers."""

    phi: Float[Array, "..."] = parameter(unit="eV", bounds=(0.0, 5.0), doc="depth of the traps")
    N_c: Float[Array, "..."] = parameter(
        unit="1/nm3", bounds=(1e-12, 1e3), doc="density of states of the band", logarithmic=True
    )
    mu: Float[Array, "..."] = parameter(
        unit="cm2/V s", bounds=(1e-12, 1e5), doc="mobility in the band", logarithmic=True
    )
    eps_r: Float[Array, "..."] = parameter(unit="1", bounds=(1.0, 1e3), doc="relative permittivity seen by an electron")

    def current_density(self, field, temperature):
        magnitude = jnp.maximum(jnp.abs(field), _FIELD_FLOOR)
        lowering = jnp.sqrt(_POOLE_FRENKEL * magnitude / self.eps_r)
        exponent = jnp.minimum((lowering - self.phi) / (BOLTZMANN * temperature), _EXPONENT_MAX)
        return _ELEMENTARY_CURRENT * self.mu * self.N_c * field * jnp.exp(exponent)


class ParallelLeakage(AbstractLeakage):
    """The sum of several currents."""

    paths: tuple[AbstractLeakage, ...]

    def current_density(self, field, temperature):
        return sum((path.current_density(field, temperature) for path in self.paths), jnp.zeros_like(field))
