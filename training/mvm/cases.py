"""What is computed: one case a technology, with and without wires, then one modelling choice after another.

The choices start from CMO/HfOx without wires, converters of 6 and 8 bits, one device per weight whose offset is
subtracted in currents, write-verify to 0.2 %, mean drift and its spread, conductances clipped to the window, no read
noise, weights of [-1, 1] on the whole window: the published benchmark as the facts give it.
"""

import dataclasses
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp

from hfsim.cards import load_card
from hfsim.crossbar import (
    ADC,
    DAC,
    AbstractEncoding,
    CrossbarDesign,
    Differential,
    Kernel,
    ReferenceColumn,
    SingleEnded,
)
from hfsim.devices.retention import AbstractRetention, CMORetention, PCMRetention, PolynomialRetention
from hfsim.errors import InputError
from hfsim.units import seconds

CMO, WAN, PCM = "cmo-hfox-2025", "wan-2022-reram", "pcm-nandakumar-2019"
MODELS = {CMO: CMORetention, WAN: PolynomialRetention, PCM: PCMRetention}
TIMES = ("0 s", "1 s", "1 h", "1 day", "1 week", "1 month", "1 year", "10 years")
LARGE = 1e6
"""Range [uA] of a converter that never clips."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: what differs from the base case, and how it is called in figures."""

    name: str
    label: str
    card: str = CMO
    wires: Literal["none", "card", "both ends"] = "none"
    encoding: Literal["card", "digital", "reference", "pair"] = "card"
    rounding: Literal["both", "inputs", "outputs"] = "both"
    read_noise: float = 0.0
    """Factor on the card's read noise; 0 reads without."""
    acceptance: float = 0.2
    """Per cent."""
    clip: bool = True
    drift: bool = True
    """Of the mean."""
    spread: bool = True
    """Of relaxation; programming's stays."""
    per_column: bool = False
    """Each column's largest weight fills the window, in place of weight 1."""
    levels: int = 0
    """Weights on so many even levels; 0 for all."""
    extrapolated: bool = False
    """Wan's spread goes on in ln t beyond its last day, as between 1 s and 1 day, in place of resting."""


MAIN = (
    Case("cmo", "CMO/HfOx"),
    Case("wan", "Wan 2022 ReRAM", WAN),
    Case("pcm", "PCM", PCM),
    Case("cmo_wires", "CMO/HfOx, wires", wires="card"),
    Case("wan_wires", "Wan 2022 ReRAM, wires", WAN, wires="card"),
    Case("pcm_wires", "PCM, wires", PCM, wires="card"),
)
CHOICES = (
    Case("inputs", "outputs not rounded", rounding="inputs"),
    Case("outputs", "inputs not rounded", rounding="outputs"),
    Case("read_noise", "read noise", read_noise=1.0),
    Case("read_noise_plot", "read noise x 1.7", read_noise=1.7),
    Case("acceptance", "programmed to 2 %", acceptance=2.0),
    Case("levels", "35 levels", levels=35),
    Case("no_drift", "no drift of the mean", drift=False),
    Case("no_spread", "no spread of relaxation", spread=False),
    Case("no_clip", "not clipped to the window", clip=False),
    Case("reference", "reference column", encoding="reference"),
    Case("pair", "pair of devices", encoding="pair"),
    Case("digital", "offset subtracted in numbers", encoding="digital"),
    Case("per_column", "columns fill the window", per_column=True),
    Case("both_ends", "wires, both ends", wires="both ends"),
    Case("reference_wires", "reference column, wires", encoding="reference", wires="card"),
    Case("pair_wires", "pair of devices, wires", encoding="pair", wires="card"),
)
PEERS = (
    Case("wan_extrapolated", "Wan 2022 ReRAM, extrapolated", WAN, extrapolated=True),
    Case("pcm_read_noise", "PCM, read noise", PCM, read_noise=1.0),
)
CASES = {case.name: case for case in MAIN + CHOICES + PEERS}


class Setup(eqx.Module):
    """A case made ready: the array with its converters and without, its devices, how weights are placed."""

    rounded: Kernel
    exact: Kernel
    retention: AbstractRetention
    read_noise: bool = eqx.field(static=True)
    per_column: bool = eqx.field(static=True)
    levels: int = eqx.field(static=True)


def setup(case: Case) -> Setup:
    """The models of a case."""
    card = load_card(case.card)
    design = CrossbarDesign.from_card(card)
    encoding = _encoding(case, design)
    ideal = {"inputs": {"adc": ADC(range=jnp.asarray(LARGE))}, "outputs": {"dac": DAC()}, "both": {}}[case.rounding]
    lines = {"none": None, "card": design.wires}
    lines["both ends"] = dataclasses.replace(design.wires, driven="both", sensed="both")
    kernel = design.kernel(encoding=encoding, **ideal)
    kernel = dataclasses.replace(kernel, wires=lines[case.wires])
    return Setup(
        rounded=kernel,
        exact=dataclasses.replace(kernel, dac=DAC(), adc=ADC(range=jnp.asarray(LARGE))),
        retention=_retention(case, card),
        read_noise=case.read_noise > 0,
        per_column=case.per_column,
        levels=case.levels,
    )


def require_cases(names: tuple[str, ...]) -> tuple[Case, ...]:
    """The cases of these names, all for none.

    Raises:
        InputError: there is none of a name.
    """
    for name in names:
        if name not in CASES:
            raise InputError("--cases", f"be of {', '.join(CASES)}", name)
    return tuple(CASES[name] for name in names or CASES)


def _encoding(case: Case, design: CrossbarDesign) -> AbstractEncoding:
    window: dict[str, Any] = {"G_min": design.G_min, "G_max": design.G_max}
    return {
        "card": lambda: design.encoding,
        "digital": lambda: SingleEnded(**window, subtracted="digital"),
        "reference": lambda: ReferenceColumn(**window),
        "pair": lambda: Differential(**window),
    }[case.encoding]()


def _retention(case: Case, card) -> AbstractRetention:
    options: dict[str, Any] = {"clip": case.clip}
    if case.card == CMO:
        options["acceptance"] = case.acceptance
    model = MODELS[case.card].from_card(card, **options)
    if isinstance(model, CMORetention):
        none = jnp.zeros(())
        changed = {"read_factor": model.read_factor * (case.read_noise or 1.0)}
        changed |= {} if case.drift else {"drift": none}
        changed |= {} if case.spread else {"sigma_0": none, "sigma_1": none}
        return dataclasses.replace(model, **changed)
    return _extrapolated(model) if case.extrapolated else model


def _extrapolated(model: PolynomialRetention) -> PolynomialRetention:
    """The spread, linear in ln t through 1 s and 1 day, to the last of TIMES."""
    t = jnp.asarray([model.t[0], model.t[1], seconds(TIMES[-1])])
    along = jnp.log(t[2] / t[0]) / jnp.log(t[1] / t[0])
    changed = {}
    for name in ("c_0", "c_1", "c_2", "c_3", "c_4"):
        first, day = getattr(model, name)[0], getattr(model, name)[1]
        changed[name] = jnp.stack([first, day, first + along * (day - first)])
    return dataclasses.replace(model, t=t, **changed)
