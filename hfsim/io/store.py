"""Results of a study in a zarr (v3) directory, chunk after chunk, readable by `xarray.open_zarr` at any moment.

    study.zarr/zarr.json             what the study is: attributes, units, provenance
    study.zarr/error/c/12/0          chunk 12 of the output `error`: zstd, then a CRC that every reader checks
    study.zarr/computed/c/12         which chips are there
    study.zarr/checksum/c/12         written last: BLAKE2 of the stored bytes of the files above

A chunk counts once its checksum stands and fits. Files are written beside their place and renamed, so a kill at any
moment leaves whole files; one that a crash or a bad disk tore does not fit, and its chunk is computed anew. Chunks are
addressed by number: several processes may write into one store, and a chunk that two of them write is the same twice.
"""

import hashlib
import json
import os
import shutil
import time
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hfsim.errors import InputError

COMPUTED, CHECKSUM, CHIP, CHUNK = "computed", "checksum", "chip", "chunk"
RESERVED = (COMPUTED, CHECKSUM, CHIP, CHUNK)
_STUDY = "hfsim_study"
_METADATA = "zarr.json"
_ABANDONED = 3600.0
"""Age [s] of an unfinished file that no process writes any more. Chosen: a chunk takes seconds."""


class Variable(NamedTuple):
    """One output of a chip as it is stored.

    Args:
        dims: names of the axes of `shape`; the axis of chips comes before them.
        shape: of one chip.
        dtype: of its numbers.
        attributes: unit ("units") and meaning ("long_name").
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    attributes: dict[str, Any]


class Coordinate(NamedTuple):
    """Labels of a dimension: numbers with their unit, or texts."""

    values: Any
    unit: str = "1"


class ChipStore:
    """The store of one study, made or opened.

    Args:
        path: of the directory; one that exists must hold this study.
        n: chips.
        chunk: chips of a chunk.
        variables: outputs by name.
        coordinates: labels by dimension.
        identity: what decides the numbers; a store of another one is refused.
        attributes: what else to write into a new store.

    Attributes:
        damaged: numbers of chunks that were found torn.

    Raises:
        InputError: the path holds another study, or something else, or cannot be written; an output without a number.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        n: int,
        chunk: int,
        variables: Mapping[str, Variable],
        coordinates: Mapping[str, Coordinate],
        identity: Mapping[str, Any],
        attributes: Mapping[str, Any],
    ):
        import zarr  # here, as is xarray below: they take longer to import than the rest of hfsim.studies

        self.path, self.n, self.chunk = Path(path), n, chunk
        self.variables, self._sound, self.damaged = dict(variables), set[int](), list[int]()
        for name, variable in variables.items():
            if 0 in variable.shape:
                raise InputError(f"outputs.{name}", "have a number to be stored", f"of shape {variable.shape}")
        known = json.loads(json.dumps(dict(identity)))
        if not self.path.exists():
            self._make(coordinates, {**attributes, _STUDY: json.dumps(known)})
        try:
            found = study_identity(self.path)
        except InputError as error:
            must = "be a store of a study, or not there yet"
            raise InputError("store", must, f"{path}, which is none", "choose another path") from error
        _require_same(found, known, self.path)
        self._group = zarr.open_group(self.path, mode="r+", zarr_format=3, use_consolidated=False)
        self._arrays: dict[str, Any] = {}
        for part in self.path.rglob("*.partial"):  # a kill in the middle of a write left it
            if time.time() - part.stat().st_mtime > _ABANDONED:
                part.unlink(missing_ok=True)

    @property
    def chunks(self) -> int:
        """Chunks of the whole study."""
        return -(-self.n // self.chunk)

    def rows(self, number: int) -> slice:
        """Chips of a chunk."""
        return slice(number * self.chunk, min((number + 1) * self.chunk, self.n))

    def has(self, number: int) -> bool:
        """Whether a chunk is there, whole; one that is torn is noted as damaged, once."""
        if number in self._sound:
            return True
        stated = self._checksum_file(number)
        if not stated.is_file():
            return False
        try:
            sound = int(np.asarray(self._array(CHECKSUM)[number])) == self._measured(number)
        except (ValueError, OSError):  # the checksum's own file is torn, or a chunk's is missing
            sound = False
        if sound:
            self._sound.add(number)
        elif number not in self.damaged:
            self.damaged.append(number)
        return sound

    def write(self, number: int, values: Mapping[str, np.ndarray]) -> None:
        """Write a chunk, its checksum last.

        Raises:
            InputError: there is no room, or the directory has gone.
        """
        rows = self.rows(number)
        try:
            for name, value in values.items():
                self._array(name)[rows] = value
            self._array(COMPUTED)[rows] = np.ones(rows.stop - rows.start, bool)
            self._array(CHECKSUM)[number] = np.uint64(self._measured(number))
        except OSError as error:
            remedy = "what was written before is intact: make room, and run the same study again"
            raise InputError(str(self.path), "take another chunk", error.strerror or str(error), remedy) from error
        self._sound.add(number)

    def read(self, number: int) -> dict[str, np.ndarray]:
        """The outputs of a chunk that is there."""
        return {name: np.asarray(self._array(name)[self.rows(number)]) for name in self.variables}

    def record(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes to the store, whole or not at all."""
        path = self.path / _METADATA
        metadata = json.loads(path.read_text(encoding="utf-8"))
        metadata["attributes"] |= json.loads(json.dumps(dict(attributes)))
        part = path.with_suffix(f".{uuid.uuid4().hex}.partial")
        try:
            part.write_text(json.dumps(metadata, indent=1), encoding="utf-8")
            os.replace(part, path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise InputError(str(path), "be writable", error.strerror, "what was there before is intact") from error

    def dataset(self, chips: int | None = None) -> Any:
        """The outputs of the first `chips` chips, or of all, as an xarray dataset that reads when it is asked."""
        return open_study(self.path, chips)

    # ------------------------------------------------------------------------------------------------- inside

    def _array(self, name: str) -> Any:
        if name not in self._arrays:
            self._arrays[name] = self._group[name]
        return self._arrays[name]

    def _checksum_file(self, number: int) -> Path:
        return self.path / CHECKSUM / "c" / str(number)

    def _measured(self, number: int) -> int:
        """The checksum of a chunk's files as they are stored."""
        digest = hashlib.blake2b(digest_size=8)
        for name, variable in {**self.variables, COMPUTED: Variable((), (), np.dtype(bool), {})}.items():
            place = "/".join(["c", str(number), *("0" for _ in variable.shape)])
            content = (self.path / name / place).read_bytes()
            digest.update(f"{name} {len(content)} ".encode() + content)
        return max(int.from_bytes(digest.digest()), 1)

    def _make(self, coordinates: Mapping[str, Coordinate], attributes: dict[str, Any]) -> None:
        """A new store beside its place, then renamed: of several processes, one makes it and all find it whole."""
        import zarr
        from zarr.codecs import Crc32cCodec, ZstdCodec

        new = self.path.parent / f".{self.path.name}.{uuid.uuid4().hex}.new"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            group = zarr.create_group(new, zarr_format=3, attributes=attributes)
            whole: dict[str, Any] = {
                "config": {"write_empty_chunks": True},
                "compressors": [ZstdCodec(), Crc32cCodec()],
            }
            rows = {COMPUTED: Variable((), (), np.dtype(bool), {"long_name": "whether the chip is there"})}
            for name, v in {**self.variables, **rows}.items():
                group.create_array(
                    name,
                    shape=(self.n, *v.shape),
                    chunks=(self.chunk, *(max(size, 1) for size in v.shape)),
                    dtype=v.dtype,
                    fill_value=np.nan if np.issubdtype(v.dtype, np.floating) else 0,
                    dimension_names=(CHIP, *v.dims),
                    attributes=v.attributes,
                    **whole,
                )
            attribute: dict[str, Any] = {"long_name": "BLAKE2 of the stored bytes of the chunk"}
            group.create_array(
                CHECKSUM,
                shape=(self.chunks,),
                chunks=(1,),
                dtype=np.uint64,
                fill_value=0,
                dimension_names=(CHUNK,),
                attributes=attribute,
                **whole,
            )
            for name, coordinate in coordinates.items():
                values = np.asarray(coordinate.values)
                text = values.dtype.kind == "U"
                array = group.create_array(
                    name,
                    shape=values.shape,
                    dtype=str if text else values.dtype,
                    dimension_names=(name,),
                    attributes={} if text else {"units": coordinate.unit},
                )
                array[:] = values
            with warnings.catch_warnings():  # that the format does not have it yet; xarray warns where it is missing
                warnings.filterwarnings("ignore", message="Consolidated metadata")
                zarr.consolidate_metadata(new)
            os.rename(new, self.path)
        except OSError as error:
            if not self.path.exists():
                was = error.strerror or str(error)
                raise InputError("store", "be a path that can be written", f"{self.path} ({was})") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)  # whatever went wrong; once renamed it is gone


class MemoryStore:
    """Chunks in memory, under the same names as in a `ChipStore`."""

    def __init__(
        self,
        *,
        n: int,
        chunk: int,
        variables: Mapping[str, Variable],
        coordinates: Mapping[str, Coordinate],
        attributes: Mapping[str, Any],
    ):
        self.n, self.chunk, self.variables = n, chunk, dict(variables)
        self.damaged: list[int] = []
        self._coordinates, self._attributes = dict(coordinates), dict(attributes)
        self._chunks: dict[int, dict[str, np.ndarray]] = {}

    def rows(self, number: int) -> slice:
        """Chips of a chunk."""
        return slice(number * self.chunk, min((number + 1) * self.chunk, self.n))

    def has(self, number: int) -> bool:
        """Whether a chunk is there."""
        return number in self._chunks

    def write(self, number: int, values: Mapping[str, np.ndarray]) -> None:
        """Keep a chunk."""
        self._chunks[number] = dict(values)

    def read(self, number: int) -> dict[str, np.ndarray]:
        """The outputs of a chunk that is there."""
        return self._chunks[number]

    def record(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes."""
        self._attributes |= attributes

    def dataset(self, chips: int | None = None) -> Any:
        """The outputs of the first `chips` chips, or of all that are there, as an xarray dataset."""
        import xarray as xr

        order = sorted(self._chunks)
        variables = {}
        for name, v in self.variables.items():
            values = np.concatenate([self._chunks[number][name] for number in order])[:chips]
            variables[name] = ((CHIP, *v.dims), values, v.attributes)
        coordinates = {
            name: (name, np.asarray(c.values), {} if np.asarray(c.values).dtype.kind == "U" else {"units": c.unit})
            for name, c in self._coordinates.items()
        }
        return xr.Dataset(variables, coordinates, self._attributes)


def open_study(path: str | os.PathLike, chips: int | None = None) -> Any:
    """The dataset of a store, for reading: outputs by name, each of its chunks loaded when it is asked for.

    Args:
        path: of the store.
        chips: how many of the first chips; None takes as many as were decided on: all, or where the study stopped.

    Raises:
        InputError: there is no store of a study.
    """
    import xarray as xr

    study_identity(path)
    dataset = xr.open_zarr(path, zarr_format=3).drop_vars(CHECKSUM)
    used = dataset.attrs.get("chips_used") if chips is None else chips
    return dataset if used is None else dataset.isel({CHIP: slice(0, used)})


def study_identity(path: str | os.PathLike) -> dict[str, Any]:
    """What a store says that it holds.

    Raises:
        InputError: there is no store of a study.
    """
    try:
        metadata = json.loads((Path(path) / _METADATA).read_text(encoding="utf-8"))
        found = json.loads(metadata["attributes"][_STUDY])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("store", "be the store of a study", f"{path}, where there is none") from error
    return found


def _require_same(found: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if names:
        told = "; ".join(f"{name} {found.get(name)!r} instead of {wanted.get(name)!r}" for name in names)
        raise InputError("store", "be of this study", f"{path} of another one: {told}", "choose another path")
