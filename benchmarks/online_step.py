"""The online rule of the hybrid memory, 784-200-100-10, batch 1: seconds a sample, and where they go.

The reference is an eager PyTorch loop of the same rule (forward and backward of one sample, Bernoulli mask,
integer step, transfer every k samples), written here; it is left out where torch is not installed. Inputs are
random: the rule's cost does not depend on them.
"""

import importlib.util
import time

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import hfsim
from benchmarks.measure import Row, best_seconds, interleaved_seconds
from hfsim.draws import address, event_hash
from hfsim.hybrid import memristor, transfer
from hfsim.learning import HybridMemory
from models import MLP
from training.data import Dataset, Split
from training.hybrid.experiment import Experiment
from training.hybrid.loop import Chip, chip_epoch, loss_factors, schedule, start_chip, transferred
from training.hybrid.task import TASKS

SIZES, PERIOD, PROBABILITY, LEARNING_RATE = (784, 200, 100, 10), 100, 0.2, 0.1
SAMPLES, TORCH_SAMPLES = 3000, 200
BAR_SECONDS = 0.08e-3
EPOCH, EPOCHS = 60_000, 10  # of MNIST online
BAR_TRAINING, SEEDS, BAR_SEEDS = 60.0, 5, 3.0


def _data() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (SAMPLES, SIZES[0])).astype(np.float32)
    return images, generator.integers(0, SIZES[-1], SAMPLES).astype(np.int32)


def rows() -> list[Row]:
    """The whole rule against PyTorch and its bar, then its parts and the compilation."""
    card = hfsim.load_card("cea-leti-2025-hybrid")
    memory = HybridMemory(
        transfer=transfer(card, "measured"),
        memristor=memristor(card),
        learning_rate=LEARNING_RATE,
        probability=PROBABILITY,
        period=PERIOD,
        key=jax.random.key(0),
    )
    graph, params = nnx.split(MLP(SIZES, rngs=nnx.Rngs(0)))
    chip = jax.jit(lambda p: start_chip(memory, p))(params)
    images, labels = map(jnp.asarray, _data())
    order, blocks = jnp.arange(SAMPLES), schedule(0, SAMPLES, PERIOD)

    began = time.perf_counter()
    epoch = jax.jit(lambda c, x, y: chip_epoch(memory, graph, c, x, y, order, blocks))
    compiled = epoch.lower(chip, images, labels).compile()
    compilation = time.perf_counter() - began
    memory_use = compiled.memory_analysis()
    step = best_seconds(lambda: compiled(chip, images, labels)) / SAMPLES

    torch_step = _torch_step() if importlib.util.find_spec("torch") else None
    result = [
        Row(
            f"online step, 784-200-100-10, k 100, one chip, per sample ({1 / step:,.0f} samples a second)",
            step,
            "eager PyTorch loop of the same rule",
            torch_step,
            None if torch_step is None else torch_step / step,
            f"at most {BAR_SECONDS:g} s",
            step <= BAR_SECONDS,
        )
    ]
    result += _parts(memory, graph, chip, images[:PERIOD], labels[:PERIOD], step)
    temporary = getattr(memory_use, "temp_size_in_bytes", 0) / 2**20
    case = f"compilation ({temporary:.1f} MiB of temporaries)"
    epoch_seconds = EPOCH * step
    ratio = epoch_seconds / compilation
    result.append(Row(case, compilation, f"one epoch of {EPOCH:,} samples", epoch_seconds, ratio, "", None))
    return [*result, *_trainings(card)]


def _trainings(card: hfsim.Card) -> list[Row]:
    """Seconds of MNIST online, scaled from fewer samples: one chip, and several seeds side by side."""
    drawn = Split(*_data())
    data = Dataset("random", drawn, drawn, drawn, SIZES[-1])
    how = transfer(card, "measured")
    systems = [Experiment(TASKS["mnist-online"], data, card, how, chips=chips, seed=0) for chips in (1, SEEDS)]
    started = [experiment.start() for experiment in systems]

    def epoch(place: int):
        return lambda: systems[place].train(started[place], 0)[1]

    scale = EPOCHS * EPOCH / SAMPLES
    one, several = (scale * t for t in interleaved_seconds([epoch(0), epoch(1)], repeats=5))
    said, bar = f"MNIST online, {EPOCHS} epochs (scaled from {SAMPLES:,} samples)", f"at most {BAR_TRAINING:g} s"
    return [
        Row(f"{said}, one chip", one, "its bar", BAR_TRAINING, BAR_TRAINING / one, bar, one <= BAR_TRAINING),
        Row(
            f"{said}, {SEEDS} seeds side by side",
            several,
            "one chip",
            one,
            one / several,
            f"at most {BAR_SEEDS:g} times one chip",
            several <= BAR_SEEDS * one,
        ),
    ]


def _parts(memory: HybridMemory, graph, chip: Chip, images, labels, step: float) -> list[Row]:
    """Seconds a sample of each part, run alone; together they may exceed the fused whole."""
    factors, _ = jax.jit(lambda p: loss_factors(graph, p, images, labels))(chip.params)
    weights = sum(leaf.size for leaf in jax.tree.leaves(chip.params))
    # everything is an argument: what a jitted function closes over is a constant, folded before it runs
    products = jax.jit(lambda params, x, y: loss_factors(graph, params, x, y)[0])
    updates = jax.jit(lambda state, f: memory.absorb(state, f))
    transfers = jax.jit(lambda c: transferred(memory, c))
    normals = jax.jit(lambda key: jax.random.normal(key, (weights,)))
    shapes = [leaf.shape for leaf in jax.tree.leaves(chip.params)]

    def hashes(key, event):
        """Random words of a sample's masks, by row and column; a weight's two operations vanish in the update."""
        return [event_hash(address(key, i), event, shape) for i, shape in enumerate(shapes)]

    masks = jax.jit(lambda key: jax.vmap(lambda event: hashes(key, event))(jnp.arange(PERIOD)))
    timed = {
        "products (forward, backward)": lambda: products(chip.params, images, labels),
        "updates of words, masks and counts": lambda: updates(chip.memory, factors),
        "of it, random words of the masks": lambda: masks(memory.key),
        "transfer": lambda: transfers(chip),
        "of it, one normal a weight": lambda: normals(memory.key),
    }
    seconds = {name: best_seconds(function) / PERIOD for name, function in timed.items()}
    return [Row(f"  {name}, per sample", t, "the whole step", step, step / t, "", None) for name, t in seconds.items()]


def _torch_step() -> float:
    """Seconds a sample of the same rule, eager, on the same cores."""
    import torch

    images, labels = (torch.from_numpy(a) for a in _data())
    mean = torch.tensor([1.4, 11.9, 36.5, 58.3, 73.9, 85.5, 95.9, 103.9])  # the card's table
    scale = 7 / 8 / float(mean[-1] - mean[0])
    words = [torch.randn(a, b).mul(100).round().clamp(-511, 511) for a, b in zip(SIZES[:-1], SIZES[1:], strict=True)]
    updates = [torch.zeros_like(w, dtype=torch.int32) for w in words]

    def transferred_weights():
        pairs = (((w.abs() / 64).floor().long(), torch.where(torch.signbit(w), -1.0, 1.0)) for w in words)
        return [(scale * s * (mean[c] + 8.7 * torch.randn(c.shape) - mean[0])).requires_grad_() for c, s in pairs]

    weights = transferred_weights()

    def sample(index: int):
        h = images[index]
        for number, weight in enumerate(weights):
            h = torch.nn.functional.layer_norm(h @ weight, (weight.shape[1],))
            h = torch.relu(h) if number < len(weights) - 1 else h
        loss = torch.nn.functional.cross_entropy(h[None], labels[index : index + 1].long())
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for word, count, gradient in zip(words, updates, gradients, strict=True):
                mask = torch.rand_like(word) < PROBABILITY
                word.sub_(mask * (LEARNING_RATE * 512 * gradient).round()).clamp_(-511, 511)
                count.add_(mask)

    sample(0)
    began = time.perf_counter()
    for index in range(TORCH_SAMPLES):
        sample(index)
        if (index + 1) % PERIOD == 0:
            weights = transferred_weights()
    return (time.perf_counter() - began) / TORCH_SAMPLES
