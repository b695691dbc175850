"""What stands between the electrodes and the film: a dead layer, and a resistance in series.

    interface:  E = [V - (P - sigma) t_i/(eps0 eps_i)]/(t + eps_r t_i/eps_i)
    series:     V_film + R_s [dQ/dt + I_leak] = V,        Q = S (P + eps0 eps_r E)

Both make the field depend on the polarisation that it moves: the field is solved, not assumed. At rest an interface
leaves the depolarising field -(P - sigma)/(eps0 [eps_r + eps_i t/t_i]) (R. R. Mehta, B. D. Silverman, J. T. Jacobs,
J. Appl. Phys. 44, 3379 (1973)). A constant-voltage analysis of a capacitor with R_s gives kinetics wrong by up to
10 % (Heron et al., arXiv:2604.05328).
"""

from jaxtyping import Array, Float

from hfsim.parameters import PhysicalModel, parameter


class InterfaceLayer(PhysicalModel):
    """A dielectric layer in series with the film, with charge trapped between them."""

    t_i: Float[Array, "..."] = parameter(unit="nm", bounds=(1e-3, 20.0), doc="thickness of the layer", logarithmic=True)
    eps_i: Float[Array, "..."] = parameter(unit="1", bounds=(1.0, 1e3), doc="relative permittivity of the layer")
    sigma: Float[Array, "..."] = parameter(
        unit="uC/cm2", bounds=(-100.0, 100.0), doc="trapped charge that screens the polarisation", default=0.0
    )


class SeriesResistance(PhysicalModel):
    """A resistance in series with the capacitor: driver, wires, electrodes."""

    R_s: Float[Array, "..."] = parameter(unit="kohm", bounds=(1e-6, 1e6), doc="series resistance", logarithmic=True)
