"""One training step of one layer by pulses, against IBM's aihwkit in the same process.

Forward, backward and update of a linear layer with unit-variance inputs and errors, learning rate 0.1, 31 slots; where
there are two arrays, one row is read and transferred after each sample, and AGAD's chopper turns after two reads: both
sides first learn until every row has turned, so that the slow array can move. Two devices: the fine one that such rules
were first proposed for (constant steps of 0.0002, noise 0.3), for which the bars are, and the CMO/HfOx cell (soft
bounds, 22 states, noise 0.86); steps vary from device to device.

Pulses cost time, so both sides send as many: update management is off on both, because ours scales a sample down where
the peer's cuts its errors off, and ours drives the fast array at the peer's own rate. A row says how many a device of
each array gets in a step, and what one costs. Ours are counted. The peer's are what its weights move by when the
samples are sent one by one to devices of constant steps without noise or bounds. Converters: 7 and 9 bits on both
sides, with the read noise of the CMO/HfOx card on ours and the peer's default output noise there.
"""

import importlib.metadata
import importlib.util
import os
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import hfsim
from benchmarks.measure import Row, interleaved_seconds
from hfsim.devices.pulsed import ConstantStep, pulsed_device
from hfsim.learning import AGAD, FixedScale, MixedPrecision, PulsedSGD, PulsedSynapse, StochasticTrain, TikiTakaV2
from hfsim.nn import AnalogLinear, AnalogWeight
from training.pulsed.networks import periphery
from training.pulsed.rules import PULSED

FINE = "idealised-2016"
CASES = ((FINE, 256, 10), (FINE, 512, 32), (PULSED, 256, 10), (PULSED, 512, 32))
BARS = {"sgd": 15.0, "ttv2": 5.0, "agad": 4.0, "mixed": 4.0}
LABELS = {"sgd": "pulsed SGD", "ttv2": "TTv2", "agad": "AGAD", "mixed": "mixed precision"}
LEARNING_RATE, SLOTS, REPEATS, READS_PER_PERIOD = 0.1, 31, 7, 2
MIXED_PULSES, MIXED_STEPS = 10, 2
"""What the peer's trains of mixed precision come to for a device, and its steps before the first of them."""
FAST_RATE = {"ttv2": 0.1, "agad": 1.0}
"""Of the fast array: the peer's defaults."""
SPREAD = {FINE: 0.3, PULSED: 0.17}
"""Of the step, from device to device: both sides' own distribution of it."""


Batch = tuple[np.ndarray, np.ndarray]


class Side(NamedTuple):
    """One step ready to be timed, and how many pulses a device of each array gets in it."""

    step: Callable[[], Any]
    pulses: dict[str, float]


def rows() -> list[Row]:
    """Steps of all rules and sizes; without aihwkit there is no reference."""
    installed = importlib.util.find_spec("aihwkit") is not None
    result = []
    for card, size, batch in CASES:
        for name in LABELS:
            learned = _batches(name, size, batch)
            peer = _peer(card, name, learned) if installed else None
            ours = _ours(card, name, learned)
            seconds = interleaved_seconds([side.step for side in (ours, peer) if side], repeats=REPEATS)
            result.append(_row(card, name, size, batch, ours, peer, seconds))
    return result


def _batches(name: str, size: int, batch: int) -> list[Batch]:
    """Inputs and errors of what is learned first, and last of the step that is timed."""
    before = READS_PER_PERIOD * size // batch + 1 if name in FAST_RATE else MIXED_STEPS if name == "mixed" else 0
    drawn = np.random.default_rng(0).standard_normal((before + 1, 2, batch, size)).astype(np.float32)
    return [(x, errors) for x, errors in drawn]


def _row(card: str, name: str, size: int, batch: int, ours: Side, peer: Side | None, seconds: list[float]) -> Row:
    told = "; there ".join(
        f"{', '.join(f'{array} {count:.3g}' for array, count in side.pulses.items())}, "
        f"{1e9 * time / (sum(side.pulses.values()) * size**2):.2g} ns each"
        for side, time in zip((ours, peer), seconds, strict=False)
        if side is not None
    )
    case = f"{card}, {LABELS[name]}, {size} x {size}, batch {batch} (pulses a device: {told})"
    other = seconds[1] if peer is not None else None
    ratio = None if other is None else other / seconds[0]
    barred = ratio is not None and card == FINE
    bar = f"at least {BARS[name]:g} times" if card == FINE else ""
    against = "aihwkit" if peer is None else f"aihwkit {importlib.metadata.version('aihwkit')}"
    return Row(case, seconds[0], against, other, ratio, bar, ratio >= BARS[name] if barred else None)


def _ours(card: str, name: str, learned: list[Batch]) -> Side:
    size, key = learned[0][0].shape[1], jax.random.key(0)
    device = pulsed_device(hfsim.load_card(card))
    spread = jnp.exp(SPREAD[card] * jax.random.normal(jax.random.key(1), (size, size)))
    synapse = PulsedSynapse(device=eqx.tree_at(lambda d: d.dw_min, device, device.dw_min * spread))
    common: dict[str, Any] = {"key": key, "learning_rate": jnp.asarray(LEARNING_RATE)}
    train = StochasticTrain(SLOTS, balanced=False, adaptive=False)
    scale = FixedScale(jnp.asarray(FAST_RATE.get(name, 1.0)))
    # without a ceiling, which the peer has not
    pair = {"fast": synapse, "slow": synapse, "scale": scale, "train": train, "ceiling": 1e9}
    rule = {
        "sgd": lambda: PulsedSGD(synapse=synapse, train=train, **common),
        "mixed": lambda: MixedPrecision(synapse=synapse, most_pulses=MIXED_PULSES, **common),
        "ttv2": lambda: TikiTakaV2(**pair, **common),
        "agad": lambda: AGAD(reads_per_period=READS_PER_PERIOD, **pair, **common),
    }[name]()
    layer = AnalogLinear(size, size, use_bias=False, periphery=periphery(), scale=1.0, rngs=nnx.Rngs(0))
    graph, weights, rest = nnx.split(layer, AnalogWeight, ...)
    state = jax.jit(rule.transformation().init)(weights)

    @jax.jit
    def step(weights, state, x, errors):
        network = nnx.merge(graph, weights, rest)
        _, back = jax.vjp(lambda taps, x: network(x, taps, key), network.zero_taps(x), x)
        factors, into = back(errors)
        updates, state = rule.update(None, state, weights, factors=[factors])
        return optax.apply_updates(weights, updates), state, into

    *first, timed = [(jnp.asarray(x), jnp.asarray(errors)) for x, errors in learned]
    for given in first:
        weights, state, _ = step(weights, state, *given)
    before, after = (_pulses(name, array) for array in (state.arrays[0], step(weights, state, *timed)[1].arrays[0]))
    return Side(lambda: step(weights, state, *timed), {side: after[side] - before[side] for side in after})


def _pulses(name: str, array: Any) -> dict[str, float]:
    """How many a device of each array has had."""
    if name in FAST_RATE:
        return {"fast": float(array.fast.pulses.mean()), "slow": float(array.slow.pulses.mean())}
    return {"array": float((array.array if name == "mixed" else array).pulses.mean())}


def _peer(card: str, name: str, learned: list[Batch]) -> Side:
    """The same step in aihwkit."""
    import torch
    from aihwkit.optim import AnalogSGD

    warnings.simplefilter("ignore")  # of the peer's own use of torch
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    *first, (x, errors) = [(torch.from_numpy(x), torch.from_numpy(errors)) for x, errors in learned]

    def stepping(layer):
        optimiser = AnalogSGD(layer.parameters(), lr=LEARNING_RATE)
        optimiser.regroup_param_groups(layer)

        def step(x, errors):
            optimiser.zero_grad()
            layer(x).backward(errors)
            optimiser.step()

        for given in first:
            step(*given)
        return step

    layer, size = _peer_layer(card, name, x.shape[1], real=False), float(pulsed_device(hfsim.load_card(card)).dw_min)
    step, moved = stepping(layer), {}
    before = _peer_weights(layer)
    parts = [slice(None)] if name == "mixed" else [slice(i, i + 1) for i in range(len(x))]  # it pulses once a batch
    for part in parts:
        step(x[part], errors[part])
        after = _peer_weights(layer)
        for side, weights in after.items():
            change = float(np.abs(weights - before[side]).mean()) / size
            moved[side] = moved.get(side, 0.0) + change
        before = after
    timed = stepping(_peer_layer(card, name, x.shape[1], real=True))
    return Side(lambda: timed(x, errors), moved)


def _peer_layer(card: str, name: str, size: int, *, real: bool) -> Any:
    """aihwkit's layer, on the devices of the benchmark or on those that count."""
    from aihwkit.nn import AnalogLinear as PeerLinear
    from aihwkit.simulator.configs import DigitalRankUpdateRPUConfig, SingleRPUConfig, UnitCellRPUConfig
    from aihwkit.simulator.configs.compounds import (
        BufferedTransferCompound,
        DynamicTransferCompound,
        MixedPrecisionCompound,
    )
    from aihwkit.simulator.configs.devices import ConstantStepDevice, SoftBoundsDevice
    from aihwkit.simulator.configs.utils import UpdateParameters

    own = pulsed_device(hfsim.load_card(card))
    exact = {"w_max_dtod": 0.0, "w_min_dtod": 0.0, "up_down": 0.0, "up_down_dtod": 0.0, "dw_min": float(own.dw_min)}
    kind = ConstantStepDevice if isinstance(own, ConstantStep) else SoftBoundsDevice

    def device():
        if not real:
            return ConstantStepDevice(dw_min_dtod=0.0, dw_min_std=0.0, w_max=100.0, w_min=-100.0, **exact)
        spread, noise = SPREAD[card], float(own.noise.sigma)
        window = {"w_max": float(own.w_max), "w_min": float(own.w_min)}
        return kind(dw_min_dtod=spread, dw_min_std=noise, **window, **exact)

    managed = {"update_management": False, "update_bl_management": False}
    update = {"update": UpdateParameters(desired_bl=SLOTS, **managed)}
    if name == "sgd":
        configuration = SingleRPUConfig(device=device(), **update)
    elif name == "mixed":
        configuration = DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(device=device()), **update)
    else:
        compound = BufferedTransferCompound if name == "ttv2" else DynamicTransferCompound
        turns = {} if name == "ttv2" else {"in_chop_prob": 1 / READS_PER_PERIOD, "in_chop_random": False}
        cell = compound(unit_cell_devices=[device(), device()], transfer_every=1.0, units_in_mbatch=False, **turns)
        configuration = UnitCellRPUConfig(device=cell, **update)
    return PeerLinear(size, size, bias=False, rpu_config=configuration)


def _peer_weights(layer: Any) -> dict[str, np.ndarray]:
    """What each of the peer's arrays holds."""
    tile = next(layer.analog_tiles())
    hidden = tile.get_hidden_parameters()
    if "hidden_weights_1" in hidden:
        return {"fast": hidden["hidden_weights_0"].numpy().copy(), "slow": hidden["hidden_weights_1"].numpy().copy()}
    return {"array": tile.get_weights()[0].detach().numpy().copy()}
