"""The independent check of a design: chips programmed pulse by pulse, aged device by device, read through converters.

Where the design's own model takes Gaussian moments, an interpolated number of pulses and exact products, this takes

    programming    the write-verify loop on the pulsed card (`PulsedProgramming`), every pulse counted
    time           each device's own trajectory (`CMORetention.conductance`), the same chip at all ages
    products       the kernel of `hfsim.nn.Periphery`: 6-bit inputs, 8-bit outputs, read noise for each input
    references     whole columns, read and subtracted in numbers
    network        retrained with other draws

on images that no choice has seen.
"""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, Key

from hfsim.cards import load_card
from hfsim.crossbar import Cells, Kernel
from hfsim.crossbar.compensation import DriftCompensation
from hfsim.crossbar.programming import ProgrammingResult
from hfsim.crossbar.write_verify import PulsedProgramming
from hfsim.devices.retention import RetentionState
from hfsim.draws import address, stream
from hfsim.nn import Periphery
from training.codesign.ten_years_energy import LIMIT, MICROJOULE, PULSED_CARD, Costs
from training.codesign.ten_years_model import CARD, HOT, LIFE, ROOM, Planned, Task, TenYears, drives

AGES = ((1.0, ROOM), (86400.0, ROOM), (LIFE, ROOM), (LIFE, HOT))
"""Time since programming [s] and temperature [K]."""
AGE_NAMES = ("1 s", "1 day", "10 years", "10 years, 85 C")
CALIBRATION = 8
"""Reads of a digital compensation."""
TOGETHER = 16
"""Chips that are computed at once."""


class Checked(NamedTuple):
    """Of one chip: accuracy and cross-entropy at `AGES`, energy of programming and of reads [uJ], missed devices."""

    accuracy: Float[Array, " ages"]
    loss: Float[Array, " ages"]
    programming: Float[Array, ""]
    reading: Float[Array, ""]
    missed: Int[Array, ""]


def check(
    model: TenYears,
    task: Task,
    costs: Costs,
    images: Float[Array, "samples pixels"],
    labels: Int[Array, " samples"],
    key: Key[Array, ""],
    *,
    chips: int,
    networks: int,
    compensated: bool = False,
) -> Checked:
    """Build chips of a design and use them for ten years.

    Args:
        model: the design; reference columns are made in whole numbers.
        task: what it is retrained on.
        costs: prices of pulses and reads.
        images, labels: what the chips are tested on.
        key: retraining n is at (key, n), its chips at (key, n, i).
        chips: of each retraining.
        networks: retrainings.
        compensated: whether one number for each layer, from calibration reads at 1 s and at use, takes out the shift
            that its devices have in common (`DriftCompensation`).

    Returns:
        Means over chips and retrainings; `missed` is a sum.
    """
    columns = round(float(model.references))
    found = [
        jax.tree.map(
            np.asarray, _population(model, task, costs, images, labels, address(key, n), columns, chips, compensated)
        )
        for n in range(networks)
    ]
    means = jax.tree.map(lambda *leaves: np.concatenate(leaves).mean(axis=0), *found)
    return means._replace(missed=sum(int(part.missed.sum()) for part in found))


@partial(jax.jit, static_argnames=("columns", "chips", "compensated"))
def _population(model, task, costs, images, labels, key, columns: int, chips: int, compensated: bool) -> Checked:
    """Chips of one retraining."""
    planned = model.planned(model.retrained(task, stream(key, "retraining")))
    squares = drives(planned.network, task.judged_images)
    kernel = Periphery.from_card(CARD, encoding=model.encoding).kernel
    compensation = DriftCompensation("none", "array", count=CALIBRATION) if compensated else None

    def one(number):
        own = address(key, number)
        return _Chip(planned, columns, costs, squares, kernel, compensation, own).used(images, labels)

    return jax.lax.map(one, jnp.arange(chips), batch_size=TOGETHER)


class _Array(NamedTuple):
    """All devices of a chip, layers after each other, and their reads at 1 s where they are compensated."""

    state: RetentionState
    calibration: list[Array]
    programming: Float[Array, ""]
    reading: Float[Array, ""]
    missed: Int[Array, ""]


class _Chip(NamedTuple):
    """How a chip is made: reference columns of a layer, prices, mean squares of the layers' inputs, its key."""

    planned: Planned
    columns: int
    costs: Costs
    squares: list[Array]
    kernel: Kernel
    compensation: DriftCompensation | None
    key: Key[Array, ""]

    def wanted(self) -> list[Array]:
        """Targets of each layer, references last."""
        reference = self.planned.reference
        return [jnp.concatenate([G, jnp.full((len(G), self.columns), reference)], 1) for G in self.planned.targets]

    def programmed(self) -> _Array:
        """Pulse by pulse, all layers in one loop."""
        model, wanted = self.planned.model, self.wanted()
        target = ravel_pytree(wanted)[0]
        acceptance: Any = model.acceptance
        loop = PulsedProgramming.from_card(load_card(PULSED_CARD), acceptance, limit=LIMIT)
        done = loop.program(stream(self.key, "programming"), target)
        retention = model.retention
        state = retention.place(retention.init(target.shape, stream(self.key, "time")), done.conductance)
        calibration = []
        if self.compensation is not None:
            for number, cells in enumerate(self.cells(state, AGES[0])):
                own = stream(address(self.key, number), "calibration")
                calibration.append(self.compensation.calibrate(self.kernel, cells, own))
        reads = [self.costs.reading(x, jnp.sum(G, axis=1)) for x, G in zip(self.squares, wanted, strict=True)]
        return _Array(
            state,
            calibration,
            jnp.sum(self.costs.of_pulses(target, done.pulses)) / MICROJOULE,
            jnp.sum(jnp.stack(reads)) / MICROJOULE,
            jnp.sum(done.result != ProgrammingResult.ACCEPTED),
        )

    def cells(self, state: RetentionState, age) -> list[Cells]:
        """The layers' devices at (seconds, kelvin)."""
        model = self.planned.model
        split = ravel_pytree(self.wanted())[1]
        G = model.retention.conductance(model.retention.wait(state, age[0], age[1]))
        sigma = dataclasses.replace(model.read, age=jnp.asarray(age[0], G.dtype)).sigma(G)
        return [Cells(*both) for both in zip(split(G), split(sigma), strict=True)]

    def outputs(self, array: _Array, x, age) -> Float[Array, "samples classes"]:
        """Logits of all images at (seconds, kelvin)."""
        planned = self.planned
        last = len(planned.network) - 1
        for number, cells in enumerate(self.cells(array.state, age)):
            own, width = address(self.key, number), planned.targets[number].shape[1]
            y = self.kernel(cells, x, stream(own, "reads"))
            if self.compensation is not None:
                before = array.calibration[number]
                correction = self.compensation.correction(self.kernel, cells, before, stream(own, "calibration"))
                y = correction.outputs(y, x)
            if self.columns:
                y = y - planned.model.reference_weight * jnp.mean(y[:, width:], axis=1, keepdims=True)
            y = y[:, :width] * planned.scales[number][0] + planned.network[number].b
            x = y if number == last else jnp.tanh(y)
        return x

    def used(self, images, labels) -> Checked:
        """Programmed once, tested at all ages."""
        array = self.programmed()

        def aged(age):
            outputs = self.outputs(array, images, age)
            right = jnp.mean(jnp.argmax(outputs, axis=-1) == labels)
            return right, jnp.mean(optax.softmax_cross_entropy_with_integer_labels(outputs, labels))

        accuracy, loss = jax.lax.map(aged, jnp.asarray(AGES))
        return Checked(accuracy, loss, array.programming, array.reading, array.missed)
