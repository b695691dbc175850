"""Memristors that have worn out: they answer no pulse and stay at one conductance.

A share of all memristors is dead, drawn once (a rest moves them as it does the others); the pair goes on with what the
other one does. Endurance of HfO2 filaments ends in RESET failures (the device stays in its low resistance) as in SET
failures (it stays in its high one): the conductance is an argument. Y. Y. Chen et al., IEEE Trans. Electron Devices 59,
3243 (2012).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from hfsim.draws import stream
from hfsim.errors import InputError
from hfsim.hybrid.transfers import AbstractTransfer, ConductancePair
from hfsim.parameters import parameter


class StuckDevices(NamedTuple):
    """What stays with the pairs: the working transfer's own, and which memristors are dead."""

    working: Any
    plus: Bool[Array, "*w"]
    minus: Bool[Array, "*w"]


class StuckTransfer(AbstractTransfer):
    """A transfer some of whose memristors are dead."""

    working: AbstractTransfer
    dead: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1.0), doc="share of dead memristors")
    G_dead: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 1e3), doc="conductance of a dead memristor")

    def __check_init__(self):
        if not isinstance(self.working, AbstractTransfer):
            raise InputError("working", "be an AbstractTransfer", type(self.working).__name__)

    @property
    def twin_noise(self) -> bool:
        return self.working.twin_noise

    @property
    def clip(self) -> bool:
        return self.working.clip

    def levels(self):
        return self.working.levels()

    def fabricate(self, shape, key, charge=None):
        def dead(side):
            return jax.random.uniform(stream(key, f"dead {side}"), shape, jnp.float32) < self.dead

        return StuckDevices(self.working.fabricate(shape, key, charge), dead("plus"), dead("minus"))

    def target(self, codes, sign, devices, key: Key[Array, ""]):
        return self.working.target(codes, sign, devices.working, key)

    def twin(self, shape, key):
        return self.working.twin(shape, key)

    def program(self, words, devices, key, estimator=None):
        pair = self.working.program(words, devices.working, key, estimator)
        return ConductancePair(
            jnp.where(devices.plus, self.G_dead, pair.plus), jnp.where(devices.minus, self.G_dead, pair.minus)
        )
