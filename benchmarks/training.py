"""Training: one step of a layer by pulses against aihwkit, an epoch of MNIST, and the main job from a cold start."""

import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax

from benchmarks import training_rows_pulsed
from benchmarks.measure import Row
from hfsim import InputError
from training.mnist_mlp.configuration import MnistMLP
from training.pulsed.images import ImageLearner, load_images
from training.pulsed.rules import TransferSettings, cmo_synapse, make_rule

BAR_SECONDS, BAR_RATIO = 60.0, 4.0
ROOT = Path(__file__).parents[1]


def _cold_start(chips: int) -> float:
    """Seconds of `python -m training` in a process of its own, imports and compilation included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "training", "--quiet", "--chips", str(chips), "--run-dir", f"{folder}/run"]
        began = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT)
        return time.perf_counter() - began


def rows() -> list[Row]:
    """All rows; without MNIST none of it."""
    return [*training_rows_pulsed.rows(), *_epochs(), *_main_job()]


def _epochs() -> list[Row]:
    """Seconds of the second epoch of `mnist-mlp` under AGAD: the first compiles."""
    config = MnistMLP()
    try:
        data = load_images(config)
    except InputError as error:
        print(f"no epoch of MNIST: {error}")
        return []
    result = []
    for products in ("exact", "analog"):
        rule = make_rule(
            "agad", cmo_synapse(), config.rate("agad"), jax.random.key(0), TransferSettings(**config.transfer())
        )
        learner = ImageLearner("agad", rule, data, dataclasses.replace(config, products=products), config.learning_rate)
        trained, _ = learner.epoch(learner.start(), 0, 1.0)
        began = time.perf_counter()
        learner.epoch(trained, 1, 1.0)
        spent = time.perf_counter() - began
        case = f"an epoch of MNIST, 784-256-128-10 under AGAD, products {products}"
        result.append(
            Row(
                case,
                spent,
                "its bar",
                BAR_SECONDS,
                BAR_SECONDS / spent,
                f"at most {BAR_SECONDS:g} s",
                spent <= BAR_SECONDS,
            )
        )
    return result


def _main_job() -> list[Row]:
    """Wall seconds of the main job with its defaults: one chip against its bar, eight against one."""
    one, eight = _cold_start(1), _cold_start(8)
    return [
        Row(
            "main job, one chip, cold start",
            one,
            "its bar",
            BAR_SECONDS,
            BAR_SECONDS / one,
            f"at most {BAR_SECONDS:g} s",
            one <= BAR_SECONDS,
        ),
        Row(
            "main job, eight chips at once",
            eight,
            "one chip",
            one,
            one / eight,
            f"less than {BAR_RATIO:g} times one chip",
            eight < BAR_RATIO * one,
        ),
    ]
