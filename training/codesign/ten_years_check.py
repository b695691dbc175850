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

    def one(chip):
        return _chip(planned, columns, costs, squares, (images, labels), address(key, chip), compensated)

    return jax.lax.map(one, jnp.arange(chips), batch_size=TOGETHER)


class _Layer(NamedTuple):
    """One programmed array with its references in the last columns."""

    state: RetentionState
    calibration: Array | None
    programming: Float[Array, ""]
    reading: Float[Array, ""]
    missed: Int[Array, ""]


def _chip(planned: Planned, columns: int, costs: Costs, squares, tested, key, compensated: bool) -> Checked:
    model = planned.model
    kernel = Periphery.from_card(CARD, encoding=model.encoding).kernel
    compensation = DriftCompensation("none", "array", count=CALIBRATION) if compensated else None
    layers = []
    for number, (target, square) in enumerate(zip(planned.targets, squares, strict=True)):
        references = jnp.broadcast_to(planned.reference, (len(target), columns))
        wanted = jnp.concatenate([target, references], axis=1)
        layers.append(_programmed(model, kernel, compensation, wanted, costs, square, address(key, number)))

    def aged(age):
        outputs = _outputs(planned, kernel, compensation, layers, columns, tested[0], key, age)
        right = jnp.mean(jnp.argmax(outputs, axis=-1) == tested[1])
        return right, jnp.mean(optax.softmax_cross_entropy_with_integer_labels(outputs, tested[1]))

    accuracy, loss = jax.lax.map(aged, jnp.asarray(AGES))
    sums: Any = [sum(part) for part in zip(*(layer[2:] for layer in layers), strict=True)]
    return Checked(accuracy, loss, sums[0] / MICROJOULE, sums[1] / MICROJOULE, sums[2])


def _programmed(model, kernel, compensation, target, costs: Costs, square, key) -> _Layer:
    loop = PulsedProgramming.from_card(load_card(PULSED_CARD), model.acceptance, limit=LIMIT)
    done = loop.program(stream(key, "programming"), target)
    retention = model.retention
    state = retention.place(retention.init(target.shape, stream(key, "time")), done.conductance)
    calibration = None
    if compensation is not None:
        fresh = _cells(model, state, AGES[0])
        calibration = compensation.calibrate(kernel, fresh, stream(key, "calibration"))
    return _Layer(
        state,
        calibration,
        jnp.sum(costs.of_pulses(target, done.pulses)),
        costs.reading(square, jnp.sum(target, axis=1)),
        jnp.sum(done.result != ProgrammingResult.ACCEPTED),
    )


def _outputs(planned: Planned, kernel: Kernel, compensation, layers, columns: int, x, key, age):
    """Logits of all images at (seconds, kelvin)."""
    model, last = planned.model, len(layers) - 1
    for number, layer in enumerate(layers):
        own, outputs = address(key, number), planned.targets[number].shape[1]
        cells = _cells(model, layer.state, age)
        y = kernel(cells, x, stream(own, "reads"))
        if compensation is not None:
            correction = compensation.correction(kernel, cells, layer.calibration, stream(own, "calibration"))
            y = correction.outputs(y, x)
        common = model.reference_weight * jnp.mean(y[:, outputs:], axis=1, keepdims=True) if columns else 0.0
        y = (y[:, :outputs] - common) * planned.scales[number] + planned.network[number].b
        x = y if number == last else jnp.tanh(y)
    return x


def _cells(model: TenYears, state: RetentionState, age) -> Cells:
    aged = model.retention.wait(state, age[0], age[1])
    G = model.retention.conductance(aged)
    return Cells(G, dataclasses.replace(model.read, age=jnp.asarray(age[0], G.dtype)).sigma(G))
