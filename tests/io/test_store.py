"""The store of a study: torn chunks, a full disk, another study, readers in the middle; several real processes."""

import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
import xarray as xr

from hfsim import InputError
from hfsim.devices import Pulse
from hfsim.io import ChipStore, Coordinate, Variable, open_study, study_identity
from hfsim.studies import Fixed, Output, monte_carlo, read_study
from tests.small_study import CHIPS, CHUNK, KILLED_AFTER, run

matplotlib.use("Agg")

N, SIZE = 60, 10


def drawn(pulse, key):
    """Quick to compile."""
    return {"x": pulse.voltage + jax.random.uniform(key, (50,)), "ok": pulse.voltage > 1}


def study(path, n=N, seed=0, experiment=drawn, chunk=SIZE, **options):
    chips = Fixed(Pulse(2.0, 100.0))
    return monte_carlo(experiment, chips, n, jax.random.key(seed), store=path, chunk=chunk, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "study.zarr"
    study(path)
    return path


@pytest.fixture
def path(made, tmp_path):
    """A store of its own."""
    return Path(shutil.copytree(made, tmp_path / "study.zarr"))


@pytest.fixture(scope="module")
def layout(made):
    """How `ChipStore` opens it."""
    variables = {"ok": Variable((), (), np.dtype(bool), {}), "x": Variable(("x_0",), (50,), np.dtype(np.float32), {})}
    given = {"variables": variables, "coordinates": {}, "attributes": {}, "identity": study_identity(made)}
    return {"n": N, "chunk": SIZE, **given}


def recomputed(path, **options):
    """Chunks that a run computes anew, by which files it touches, and its dataset."""
    before = {file: file.stat().st_mtime_ns for file in path.glob("x/c/*/0")}
    lines = []
    found = study(path, progress=lines.append, **options).dataset
    touched = {int(f.parent.name) for f in path.glob("x/c/*/0") if before.get(f) != f.stat().st_mtime_ns}
    return touched, found, lines


def cut(file):
    file.write_bytes(file.read_bytes()[:-3])


def turn(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGE = {
    "cut": ("x/c/2/0", cut),
    "empty": ("x/c/2/0", lambda file: file.write_bytes(b"")),
    "one bit": ("x/c/2/0", turn),
    "gone": ("ok/c/2", Path.unlink),
    "checksum cut": ("checksum/c/2", cut),
    "checksum turned": ("checksum/c/2", turn),
    "whole checksum of another": ("checksum/c/2", lambda f: f.write_bytes((f.parent / "3").read_bytes())),
}


@pytest.mark.parametrize(("place", "damage"), DAMAGE.values(), ids=DAMAGE)
def test_a_torn_chunk_is_found(path, layout, place, damage):
    damage(path / place)
    store = ChipStore(path, **layout)
    assert [number for number in range(store.chunks) if not store.has(number)] == [2] and store.damaged == [2]
    store.write(2, {"x": np.ones((SIZE, 50), np.float32), "ok": np.ones(SIZE, bool)})
    assert store.has(2) and ChipStore(path, **layout).has(2)
    assert np.all(store.read(2)["x"] == 1)


def test_a_torn_chunk_is_computed_anew(path):
    whole = xr.open_zarr(path).load()
    turn(path / "x/c/2/0")
    with pytest.raises(ValueError, match="checksum do not match"):  # any reader of the format finds it
        xr.open_zarr(path).x.load()
    touched, found, lines = recomputed(path)
    assert touched == {2} and sum("chunk 2 was damaged" in line for line in lines) == 1
    np.testing.assert_array_equal(found.x, whole.x)
    assert recomputed(path)[0] == set()


def test_what_is_there_is_not_computed_again(path):
    assert recomputed(path)[0] == set()
    (path / "checksum/c/4").unlink()
    touched, _, lines = recomputed(path)
    assert touched == {4} and not any("damaged" in line for line in lines)


OTHERS = {
    "key": ({"seed": 1}, "key 'threefry"),
    "n": ({"n": N + 1}, "chips 60 instead of 61"),
    "chunk": ({"chunk": 20}, "chunk 10 instead of 20"),
    "experiment": ({"experiment": lambda p, k: {**drawn(p, k), "x": jax.random.uniform(k, (50,))}}, "digest"),
    "name": ({"name": "another"}, "experiment 'drawn' instead of 'another'"),
    "shape": ({"experiment": lambda p, k: drawn(p, k)["x"]}, "outputs"),
    "together": ({"together": 2}, "together 1 instead of 2"),
    "unit": ({"outputs": {"x": Output("V")}}, "units .*'x': ''} instead of .*'x': 'V'}"),
    "labels": ({"coordinates": {"x_0": Coordinate(np.arange(50.0))}}, "0.0 to 49.0, 50 labels .*, in 1"),
}


@pytest.mark.parametrize(("changed", "told"), OTHERS.values(), ids=OTHERS)
def test_the_store_of_another_study_is_refused(path, changed, told):
    with pytest.raises(InputError, match=told):
        study(path, **changed)


def test_a_store_keeps_its_labels(tmp_path):
    def labelled(times, unit="s"):
        study(tmp_path / "s.zarr", coordinates={"x_0": Coordinate(times, unit)})

    times = np.arange(50.0)
    labelled(times)
    labelled(times)
    for other in ((np.where(times == 7, 7.5, times),), (times, "ns")):  # another label in the middle; another unit
        with pytest.raises(InputError, match="coordinates .*0.0 to 49.0, 50 labels .* instead of"):
            labelled(*other)


def test_an_output_without_a_number_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"`outputs.empty` must have a number to be stored, but was of shape \(0,\)"):
        study(tmp_path / "s.zarr", experiment=lambda p, k: {**drawn(p, k), "empty": jnp.zeros(0)})
    assert not list(tmp_path.iterdir())


def test_a_store_that_cannot_be_made_leaves_nothing_behind(tmp_path, layout):
    with pytest.raises(TypeError, match="serializable"):
        ChipStore(tmp_path / "s.zarr", **{**layout, "attributes": {"date": object()}})
    assert not list(tmp_path.iterdir())


def test_attributes_are_texts_and_numbers(path):
    """As every format of xarray takes them."""
    assert all(isinstance(value, str | int) for value in open_study(path).attrs.values())


def test_the_digest_sees_numbers_that_the_experiment_holds(tmp_path):
    digests = set()
    for factor in (1.0, 1.0, 2.0):
        table = jnp.arange(1000.0) * factor
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr"
        study(path, n=10, experiment=lambda p, k, table=table: jnp.sum(table * p.voltage))
        digests.add(xr.open_zarr(path).attrs["digest"])
    assert len(digests) == 2


def test_what_is_no_store_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="be a store of a study"):
        study(tmp_path)
    with pytest.raises(InputError, match="be the store of a study, but was .*nowhere, where there is none"):
        open_study(tmp_path / "nowhere")
    with pytest.raises(InputError, match="path that can be written"):
        study(tmp_path / "notes.txt" / "study.zarr")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_full_disk_is_one_clear_error_and_the_store_stays(path):
    (path / "checksum/c/5").unlink()
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # a chunk of x has 2 kB: the system refuses to write it
    try:
        with pytest.raises(InputError, match="make room, and run the same study again"):
            study(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    assert recomputed(path)[0] == {5}


def test_a_store_can_be_read_before_it_is_finished(path):
    (path / "checksum/c/1").unlink()
    (path / "computed/c/1").unlink()
    (path / "x/c/1/0").unlink()
    (path / "ok/c/1").unlink()
    plain = xr.open_zarr(path)
    assert np.flatnonzero(~plain.computed).tolist() == list(range(10, 20))
    assert np.all(np.isnan(plain.x[10:20])) and not np.any(np.isnan(plain.x[20:]))
    part = read_study(path)
    assert part.chips == 50 and "50 of 60 chips" in repr(part)
    rest = np.delete(np.asarray(plain.x, np.float64), np.s_[10:20], axis=0)
    np.testing.assert_allclose(part.mean("x").value, rest.mean(axis=0), rtol=1e-12)
    # a logical is false where it is missing, and counts neither in the share nor in the picture
    assert not np.any(plain.ok[10:20]) and part.probability("ok").value == 1
    assert sum(bar.get_height() for bar in part.plot("ok").patches) == 50
    assert plain.isel(chip=plain.computed).ok.values.tolist() == [True] * 50
    matplotlib.pyplot.close("all")
    cut(path / "x/c/3/0")
    with pytest.raises(InputError, match="torn in chunk 3"):
        read_study(path)


def test_of_two_processes_that_make_a_store_one_does_and_both_find_it(tmp_path, monkeypatch):
    path = tmp_path / "study.zarr"
    given = {
        "n": 4,
        "chunk": 2,
        "variables": {"x": Variable((), (), np.dtype(np.float32), {})},
        "coordinates": {},
        "identity": {"chips": 4},
        "attributes": {},
    }
    first = ChipStore(path, **given)
    first.write(0, {"x": np.ones(2, np.float32)})
    # the other one looked before the first was done
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: self != path and real(self))
    with pytest.raises(InputError):  # it looks again to tell what went wrong, and is told the same
        ChipStore(path, **given)
    looked = []
    monkeypatch.setattr(Path, "exists", lambda self: real(self) if self != path or looked else looked.append(1))
    second = ChipStore(path, **given)
    assert second.has(0) and not second.has(1) and [p.name for p in tmp_path.iterdir()] == ["study.zarr"]


# -------------------------------------------------------------------------------------------- real processes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What four devices, two and four processes, and one that killed itself, left."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "tests.small_study", str(folder), str(port)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def alone():
    """The same study in this process, as users compile it."""
    return run()


@pytest.mark.optimised
@pytest.mark.parametrize("name", ["devices", "processes-2", "processes-4"])
def test_devices_and_processes_change_no_bit(folder, alone, name):
    found = read_study(folder / f"{name}.zarr")
    assert found.chips == CHIPS and bool(found.dataset.computed.all())
    np.testing.assert_array_equal(found.dataset.error, alone.dataset.error)
    np.testing.assert_array_equal(found.dataset.works, alone.dataset.works)


@pytest.mark.optimised
def test_all_processes_find_the_same_statistics(folder, alone):
    expected = alone.mean("error").value.tobytes()
    assert all((folder / f"mean-{n}-{place}").read_bytes() == expected for n in (2, 4) for place in range(n))


@pytest.mark.optimised
def test_a_killed_study_goes_on_where_it_was(folder, alone):
    path = folder / "killed.zarr"
    left = {int(file.name) for file in path.glob("checksum/c/*")}
    assert len(left) == KILLED_AFTER
    before = {number: (path / f"error/c/{number}/0").stat().st_mtime_ns for number in left}
    lines = []
    found = run(path, progress=lines.append)
    assert {number: (path / f"error/c/{number}/0").stat().st_mtime_ns for number in left} == before
    np.testing.assert_array_equal(found.dataset.error, alone.dataset.error)
    assert found.chips == CHIPS and len(lines) == -(-CHIPS // CHUNK)
    np.testing.assert_array_equal(found.mean("error").value, alone.mean("error").value)
