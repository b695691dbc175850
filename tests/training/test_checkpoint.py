"""Checkpoints restore to the bit, and refuse what is not theirs."""

import jax
import numpy as np
import pytest

from hfsim.errors import InputError
from training import checkpoint
from training.configuration import OnChip
from training.experiment import Experiment, Progress


@pytest.fixture(scope="module")
def trained():
    """A small experiment after one epoch, with its checkpoint's content."""
    config = OnChip(epochs=2, period=100, quiet=True)
    experiment = Experiment(config)
    progress = Progress(experiment)
    progress.step(experiment, lambda params: np.zeros(1))
    return config, experiment, progress


def test_a_restored_run_is_the_same_to_the_bit(trained, tmp_path):
    config, experiment, progress = trained
    path = tmp_path / checkpoint.FILE
    progress.save(path, config.settings())
    fresh = Progress(experiment)
    fresh.restore(path, config.settings())
    assert fresh.epoch == 1 and fresh.curves == progress.curves
    for one, other in zip(
        jax.tree.leaves((progress.chips, progress.params)), jax.tree.leaves((fresh.chips, fresh.params)), strict=True
    ):
        if jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(np.signbit(np.asarray(one)), np.signbit(np.asarray(other)))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_a_truncated_checkpoint_is_refused(trained, tmp_path, kept):
    config, _, progress = trained
    path = tmp_path / checkpoint.FILE
    progress.save(path, config.settings())
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="checkpoint"):
        checkpoint.load(path)


def test_a_damaged_checkpoint_is_refused(trained, tmp_path):
    config, _, progress = trained
    path = tmp_path / checkpoint.FILE
    progress.save(path, config.settings())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="checkpoint"):
        checkpoint.load(path)


def test_a_checkpoint_of_another_configuration_is_refused_and_kept(trained, tmp_path):
    config, experiment, progress = trained
    path = tmp_path / checkpoint.FILE
    progress.save(path, config.settings())
    before = path.read_bytes()
    with pytest.raises(InputError, match="--seed"):
        Progress(experiment).restore(path, OnChip(epochs=2, period=100, seed=1).settings())
    assert path.read_bytes() == before


def test_more_epochs_of_the_same_configuration_are_accepted(trained, tmp_path):
    config, experiment, progress = trained
    path = tmp_path / checkpoint.FILE
    progress.save(path, config.settings())
    fresh = Progress(experiment)
    fresh.restore(path, OnChip(epochs=9, period=100).settings())
    assert fresh.epoch == 1


def test_fewer_epochs_than_are_done_are_refused(trained, tmp_path):
    config, experiment, progress = trained
    path = tmp_path / checkpoint.FILE
    progress.epoch = 2
    progress.save(path, config.settings())
    progress.epoch = 1
    with pytest.raises(InputError, match="--epochs"):
        Progress(experiment).restore(path, OnChip(epochs=1, period=100).settings())


def test_arrays_of_another_network_are_refused(trained):
    _, _, progress = trained
    arrays = checkpoint.chip_arrays(progress.chips)
    arrays["words_0"] = arrays["words_0"][:, :-1]
    with pytest.raises(InputError, match="arrays of this network"):
        checkpoint.restore_chips(progress.chips, arrays)
