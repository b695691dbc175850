"""A million chips on one accelerator, and what of its memory bandwidth and matrix rate they reach.

The study is that of `monte_carlo`: programming, ten years and 100 products of arrays of 64 x 64. What the device can do
is measured in the same run: a large array read and written, and a large product of matrices in the precision of the
study. Work is what the compiler counts in the program of one step: operations, and bytes that its kernels read and
write, of which a cache may serve some; time is that beyond the first call, which compiles.
"""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.measure import Row, best_seconds
from hfsim.cards import load_card
from hfsim.crossbar import CrossbarDesign
from hfsim.devices.retention import CMORetention
from hfsim.errors import InputError
from hfsim.studies import Fixed, ProductError, chip_results, monte_carlo

CHIPS = 1_000_000
TRIED_CHIPS = 65_536
TOGETHER = (256, 1024, 4096)
"""Chips that the device computes at once; the fastest of these runs the million."""
COPIED = 2**28
"""Numbers that are read and written."""
SIDE = 8192
"""Of the matrices."""


class Peaks(NamedTuple):
    """What the device reaches: bytes/s, and operations/s of products of float32 matrices."""

    bandwidth: float
    rate: float


def rows() -> list[Row]:
    """The device, then the study at several widths, then a million chips at the best one.

    Raises:
        InputError: jax sees no accelerator.
    """
    if jax.default_backend() == "cpu":
        raise InputError("backend", "be an accelerator for this benchmark", "cpu", "install jax for it")
    kind, peaks = jax.devices()[0].device_kind, _peaks()
    found = [
        Row(
            f"{kind}: {peaks.bandwidth / 1e9:,.0f} GB/s read and written", 1 / peaks.bandwidth, "", None, None, "", None
        ),
        Row(f"{kind}: {peaks.rate / 1e12:.1f} Tflop/s, float32 product", 1 / peaks.rate, "", None, None, "", None),
    ]
    tried = {together: _study(TRIED_CHIPS, together, peaks) for together in TOGETHER}
    best = min(tried, key=lambda together: tried[together].seconds)
    return [*found, *tried.values(), _study(CHIPS, best, peaks)]


def _peaks() -> Peaks:
    x, a = jnp.ones(COPIED, jnp.float32), jnp.ones((SIDE, SIDE), jnp.float32)
    copied = best_seconds(lambda add=jax.jit(lambda x: x + 1): add(x))
    multiplied = best_seconds(lambda product=jax.jit(lambda a: a @ a): product(a))
    return Peaks(2 * x.nbytes / copied, 2 * SIDE**3 / multiplied)


def _study(chips: int, together: int, peaks: Peaks) -> Row:
    card, key = load_card("cmo-hfox-2025"), jax.random.key(0)
    experiment = ProductError(CrossbarDesign.from_card(card).kernel(), coarse=True)
    population = Fixed(CMORetention.from_card(card))
    began = time.perf_counter()
    study = monte_carlo(experiment, population, together, key, together=together, chunk=together)
    compiled = time.perf_counter() - began
    began = time.perf_counter()
    study = monte_carlo(experiment, population, chips, key, together=together)
    seconds = time.perf_counter() - began

    def step(first):
        return chip_results(experiment, population, first + jnp.arange(together), key, together=together)

    counted: Any = jax.jit(step).lower(jnp.int32(0)).compile().cost_analysis()
    share = chips / together / max(seconds - compiled, 1e-9)
    case = (
        f"{chips:,} chips x 7 times x 100 vectors on 64 x 64, {together} at once: "
        f"{counted['bytes accessed'] * share / peaks.bandwidth:.1%} of the bandwidth, "
        f"{counted['flops'] * share / peaks.rate:.1%} of the matrix rate; first call {compiled:.1f} s; "
        f"RMSE {study.mean('error').value[-1]:.4f} at 10 years"
    )
    return Row(case, seconds, "", None, None, "", None)
