"""Checkpoints: one npz file of named arrays and a JSON record, replaced atomically.

Words are stored as int16 patterns of ten bits, so that both zeros survive; keys are not stored, since every draw is
addressed from the configuration's seed.
"""

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hfsim.errors import InputError
from hfsim.hybrid import pack, unpack
from training.loop import Chip
from training.run_directory import write_bytes

FILE = "checkpoint.npz"
_RECORD = "record"


def save(path: Path, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
    """Write a checkpoint to `path`; a kill at any moment leaves the previous one."""
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, **arrays, **{_RECORD: text})
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint: its arrays and its record.

    Raises:
        InputError: the file is missing, truncated, damaged, or none of ours.
    """
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        record = json.loads(arrays.pop(_RECORD).tobytes())
    except FileNotFoundError as error:
        raise InputError("--resume", f"find {path.name}", f"none in {path.parent}") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            "checkpoint", "be a whole file of this program", f"{path} ({error})", "start again in a new --run-dir"
        ) from error
    return arrays, record


def chip_arrays(chips: Chip) -> dict[str, np.ndarray]:
    """The arrays that, beside the configuration, are all of the chips' state during training."""
    arrays = {
        "samples": np.asarray(chips.memory.samples),
        "transfers": np.asarray(chips.memory.transfers),
    }
    for index, (kernel, weight) in enumerate(zip(jax.tree.leaves(chips.params), chips.memory.weights, strict=True)):
        arrays[f"kernel_{index}"] = np.asarray(kernel)
        arrays[f"words_{index}"] = pack(weight.words).astype(np.int16)
        arrays[f"updates_{index}"] = np.asarray(weight.updates)
        for side in ("plus", "minus"):
            memristors = getattr(weight, side)
            arrays[f"{side}_{index}"] = np.asarray(memristors.programmed)
            arrays[f"{side}_event_{index}"] = np.asarray(memristors.event)
    return arrays


def restore_chips(fresh: Chip, arrays: dict[str, np.ndarray]) -> Chip:
    """The chips of a checkpoint, from freshly started ones of the same configuration.

    Raises:
        InputError: the arrays are not those of these chips.
    """
    expected = {name: (value.shape, value.dtype) for name, value in chip_arrays(fresh).items()}
    found = {name: (value.shape, value.dtype) for name, value in arrays.items() if name in expected}
    if expected != found:
        raise InputError("checkpoint", "hold the arrays of this network", "another network's")
    weights = []
    for index, weight in enumerate(fresh.memory.weights):
        sides = {
            side: getattr(weight, side).__class__(
                jnp.asarray(arrays[f"{side}_{index}"]),
                getattr(weight, side).clock,
                jnp.asarray(arrays[f"{side}_event_{index}"]),
                getattr(weight, side).key,
            )
            for side in ("plus", "minus")
        }
        weights.append(
            weight._replace(
                words=jnp.asarray(unpack(arrays[f"words_{index}"], dtype=weight.words.dtype)),
                updates=jnp.asarray(arrays[f"updates_{index}"]),
                **sides,
            )
        )
    memory = fresh.memory._replace(
        weights=tuple(weights),
        samples=jnp.asarray(arrays["samples"]),
        transfers=jnp.asarray(arrays["transfers"]),
    )
    kernels = [jnp.asarray(arrays[f"kernel_{index}"]) for index in range(len(weights))]
    return Chip(jax.tree.unflatten(jax.tree.structure(fresh.params), kernels), memory)
