"""One case for each device model; `tests/devices/test_every_model.py` runs all of them through one table.

A module of this package holds `CASES`, a list of `Case`. Adding a model is adding a case.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from hfsim.parameters import PhysicalModel


class Case(NamedTuple):
    """A model, and one number that depends on all of its parameters.

    `model` builds it in the default precision. `scalar` maps the model to a number of order 1: a short life of the
    device (pulses of both signs, a wait, a read), smooth where the model is. `insensitive` names the parameters that
    the number rightly ignores; `tolerance` is the relative error of gradients against differences; `float32` the
    relative difference of the number between the precisions; `step` that of the differences; `vmap`
    the relative difference of a population from its members (more where draws are made in float32).
    `implicit` names parameters whose gradient is that of a distribution and not of its sampled path (gamma variables
    drawn by rejection, the derivative of a Brownian path in time): it must be finite and not zero, and is compared
    with its own reference elsewhere. `corners_of` limits the corner test to these parameters (default: all).
    """

    name: str
    model: Callable[[], PhysicalModel]
    scalar: Callable[[Any], jax.Array]
    insensitive: tuple[str, ...] = ()
    tolerance: float = 1e-4
    float32: float = 1e-4
    step: float = 1e-5
    implicit: tuple[str, ...] = ()
    vmap: float = 1e-9
    corners_of: tuple[str, ...] | None = None


def all_cases() -> list[Case]:
    """The cases of every module of this package."""
    modules = (importlib.import_module(m.name) for m in pkgutil.iter_modules(__path__, f"{__name__}."))
    return [case for module in modules for case in module.CASES]
