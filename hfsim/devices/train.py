"""Trains of pulses: one compiled loop over any device, whose gradient needs memory for sqrt(n) states.

A train is a `Pulse` whose leaves have a leading axis of pulses. The loop is a scan of checkpointed scans: reverse
mode keeps the states between chunks of about sqrt(n) pulses and computes each chunk again, and in it each pulse from
its state and its costly powers (`hfsim.powers.COSTLY`): keeping more costs memory traffic, keeping less computation.
Forward mode keeps one state.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from hfsim.devices.interface import AbstractDevice
from hfsim.devices.pulse import Pulse
from hfsim.draws import address, require_key
from hfsim.errors import InputError
from hfsim.powers import COSTLY
from hfsim.units import ROOM_TEMPERATURE

SHORT = 16
"""[1] steps of a plain scan; chosen: a loop of loops is twice to compile, and saves 8 states of 16."""


def checkpointed_scan(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, *, length: int):
    """`jax.lax.scan(step, carry, xs)` whose reverse mode keeps about 2 sqrt(length) carries and costly values.

    Args:
        step: (carry, x) to (carry, y).
        carry: start.
        xs: leaves with a leading axis of `length`.
        length: number of steps, at least 1.

    Returns:
        The last carry and the stacked ys.
    """
    kept = jax.checkpoint_policies.save_only_these_names(COSTLY)
    inner = jax.checkpoint(step, prevent_cse=False, policy=kept)
    if length <= SHORT:
        return jax.lax.scan(inner, carry, xs)
    chunk = _chunk(length)
    whole = length // chunk * chunk
    block = jax.checkpoint(lambda c, x: jax.lax.scan(inner, c, x), prevent_cse=False)
    folded = jax.tree.map(lambda x: x[:whole].reshape(length // chunk, chunk, *x.shape[1:]), xs)
    carry, ys = jax.lax.scan(block, carry, folded)
    ys = jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), ys)
    if whole == length:
        return carry, ys
    carry, rest = block(carry, jax.tree.map(lambda x: x[whole:], xs))
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, rest)


def _chunk(length: int) -> int:
    """Steps of a chunk: about sqrt(length), and a divisor where there is one; a rest is to be compiled once more."""
    root = math.isqrt(length)
    return next((size for size in range(root, root // 2, -1) if length % size == 0), root)


def apply_train(
    device: AbstractDevice,
    state: Any,
    train: Pulse,
    key: Key[Array, ""] | None = None,
    *,
    record: Callable[[Any, Pulse], Any] = lambda state, pulse: None,
    temperature=ROOM_TEMPERATURE,
) -> tuple[Any, Any]:
    """Apply the pulses of a train in order.

    Args:
        device: any device.
        state: its state.
        train: pulses, the leading axis of voltage and width is the pulse's number; the rest fits the devices.
        key: for devices whose pulses are random; pulse i draws at the address (key, i).
        record: what is kept of (state, pulse) after each pulse.
        temperature: [K].

    Returns:
        The state after the last pulse, and the records, stacked along a leading axis.

    Raises:
        InputError: the train has no axis of pulses, or no pulse.
    """
    shapes = jnp.shape(train.voltage), jnp.shape(train.width)
    if max(map(len, shapes)) < 1:
        raise InputError("train", "have a leading axis of pulses", "a single pulse", "use `device.apply`")
    length = max(s[0] for s in shapes if s)
    if length < 1 or any(s and s[0] != length for s in shapes):
        raise InputError("train", "hold at least one pulse, and one width for each amplitude", f"shapes {shapes}")
    pulses = jax.tree.map(lambda x: x if jnp.ndim(x) else jnp.broadcast_to(x, (length,)), train)
    if key is not None:
        require_key(key)

    def step(state, numbered):
        number, pulse = numbered
        own = None if key is None else address(key, number)
        state = device.apply(state, pulse, own, temperature=temperature)
        return state, record(state, pulse)

    return checkpointed_scan(step, state, (jnp.arange(length), pulses), length=length)
