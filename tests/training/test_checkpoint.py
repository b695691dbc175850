"""Checkpoints restore any state to the bit, and refuse what is not theirs."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.draws import address
from hfsim.errors import InputError
from training import checkpoint, runner
from training.job import Configuration, Job, Results


@dataclasses.dataclass(frozen=True)
class Walk(Configuration):
    """A random walk: the smallest job there can be."""

    name: ClassVar[str] = "walk"
    length: ClassVar[str] = "paces"
    paces: int = 3

    def job(self):
        return WalkJob(self)


class WalkJob(Job):
    """Its state has every kind of leaf that jobs use."""

    unit = "paces"

    def __init__(self, config):
        self.total = config.paces
        self.seen = []
        self.state = {
            "at": jnp.asarray([-0.0, 1.0, jnp.nan]),
            "key": jax.random.key(config.seed),
            "keys": (jax.random.split(jax.random.key(1, impl="rbg"), 2), np.arange(3)),
            "coarse": jnp.ones(2, jnp.bfloat16),
            "flags": jnp.asarray([True, False]),
            "none": None,
            "count": 0,
        }

    def step(self):
        move = jax.random.normal(address(self.state["key"], self.steps), (3,))
        self.state = {**self.state, "at": self.state["at"] * move, "count": self.state["count"] + 1}
        self.seen.append(float(move[0]))

    def arrays(self):
        return self.state

    def restore(self, arrays):
        self.state = arrays

    def record(self):
        return {"seen": self.seen}

    def restore_record(self, record):
        self.seen = record["seen"]

    def finish(self):
        return Results("A walk", {})


@pytest.fixture
def saved(tmp_path):
    """A walk after one pace, and its checkpoint."""
    config = Walk(seed=5)
    job = config.job()
    job.step()
    job.steps += 1
    runner.save(job, config, tmp_path / checkpoint.FILE, 12.5)
    return job, tmp_path / checkpoint.FILE


def test_a_restored_state_is_the_same_to_the_bit(saved):
    job, path = saved
    config = Walk(seed=5)
    fresh = config.job()
    assert runner.take_up(fresh, config, path) == 12.5
    assert fresh.steps == 1 and fresh.seen == job.seen
    assert jax.tree.structure(fresh.state) == jax.tree.structure(job.state)
    for one, other in zip(jax.tree.leaves(job.state), jax.tree.leaves(fresh.state), strict=True):
        assert type(one) is type(other) and getattr(one, "dtype", None) == getattr(other, "dtype", None)
        if isinstance(one, jax.Array) and jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
            assert jax.random.key_impl(one) == jax.random.key_impl(other)
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_a_truncated_checkpoint_is_refused(saved, kept):
    content = saved[1].read_bytes()
    saved[1].write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="checkpoint"):
        checkpoint.load(saved[1])


def test_a_damaged_checkpoint_is_refused(saved):
    content = bytearray(saved[1].read_bytes())
    place = content.index(b"\x93NUMPY") + 140  # inside an array: the archive's checksum tells
    content[place] ^= 0xFF
    saved[1].write_bytes(bytes(content))
    with pytest.raises(InputError, match="checkpoint"):
        checkpoint.load(saved[1])


def test_a_checkpoint_of_another_configuration_is_refused_and_kept(saved):
    before, other = saved[1].read_bytes(), Walk(seed=6)
    with pytest.raises(InputError, match="--seed"):
        runner.take_up(other.job(), other, saved[1])
    assert saved[1].read_bytes() == before


def test_more_steps_of_the_same_configuration_are_accepted_and_fewer_refused(saved):
    more = Walk(seed=5, paces=9)
    job = more.job()
    runner.take_up(job, more, saved[1])
    assert job.steps == 1
    none = Walk(seed=5, paces=0)
    with pytest.raises(InputError, match="--paces"):
        runner.take_up(none.job(), none, saved[1])


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {**s, "at": s["at"][:-1]},
        lambda s: {**s, "at": s["at"].astype(jnp.int32)},
        lambda s: {**s, "more": s["at"]},
        lambda s: {k: v for k, v in s.items() if k != "flags"},
    ],
)
def test_arrays_of_another_state_are_refused(saved, change):
    state = saved[0].state
    with pytest.raises(InputError, match="arrays of this run"):
        checkpoint.restored(state, checkpoint.flattened(change(state)))


def test_a_checkpoint_without_its_record_is_refused(tmp_path):
    path = tmp_path / checkpoint.FILE
    checkpoint.save(path, {}, {"steps": 1})
    with pytest.raises(InputError, match="record"):
        runner.take_up(Walk().job(), Walk(), path)
