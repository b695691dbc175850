"""Checkpoints: one npz file of named arrays and a JSON record, replaced atomically.

The arrays are the leaves of any pytree, named by their paths; both zeros, integers and every float survive to the
bit. Typed keys are stored as their data. A checkpoint is taken up only where a freshly started tree has the same
names, shapes and types.
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
from training.run_directory import write_bytes

FILE = "checkpoint.npz"
_RECORD = "record"


def save(path: Path, tree: Any, record: dict[str, Any]) -> None:
    """Write a checkpoint to `path`; a kill at any moment leaves the previous one."""
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)
    arrays = {f"{name}.npy": array for name, array in {**flattened(tree), _RECORD: text}.items()}
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays.items():
            with file.open(name, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint: its arrays by name, and its record.

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


def flattened(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a pytree as plain arrays, by path."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"state" + jax.tree_util.keystr(place): _plain(leaf) for place, leaf in leaves}


def restored(fresh: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A checkpoint's arrays in the structure of `fresh`, a freshly started state of the same configuration.

    Raises:
        InputError: names, shapes or types are others.
    """
    expected = {name: (leaf.shape, leaf.dtype) for name, leaf in flattened(fresh).items()}
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    wrong = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
    if wrong:
        name = wrong[0]
        raise InputError(
            "checkpoint", f"hold the arrays of this run ({name}: {expected.get(name)})", str(found.get(name))
        )
    leaves, structure = jax.tree.flatten(fresh)
    return jax.tree.unflatten(structure, [_like(leaf, arrays[n]) for leaf, n in zip(leaves, expected, strict=True)])


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf: Any) -> np.ndarray:
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    # numpy's files know no bfloat16 and its kin
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind == "V" else array


def _like(leaf: Any, array: np.ndarray) -> Any:
    """What `_plain` made of a leaf, back in the leaf's kind."""
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    if not isinstance(leaf, jax.Array | np.ndarray):
        return type(leaf)(array[()])
    array = array.view(leaf.dtype)
    return jnp.asarray(array) if isinstance(leaf, jax.Array) else array
