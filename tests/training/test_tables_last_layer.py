"""The table of last layers, small: digits 0 to 4, then 5 to 9; full scale by `python -m training tables`."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from training import publish
from training.__main__ import main
from training.data import load_digits
from training.hybrid.task import TASKS
from training.runner import save, take_up
from training.tables.configuration import PAIR_NAMES, Tables
from training.tables.last_layer import cases
from training.transfer_learning.four_bits import four_bit_network, four_bits
from training.transfer_learning.pairs import PAIRS, PUBLISHED, renumbered

BASE_EPOCHS, EPOCHS, SEEDS = 6, 8, 2
SMALL = ["tables", "--table", "last-layer", "--pairs", "digits-halves", "--quiet", "--checkpoint-seconds", "0"]
SMALL += ["--seeds", str(SEEDS), "--epochs", str(EPOCHS), "--base-epochs", str(BASE_EPOCHS)]
NAME = "digits-halves"


def _value(path: Path) -> dict:
    return {name: entry["value"] for name, entry in json.loads((path / "metrics.json").read_text())["metrics"].items()}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A small table, in one go."""
    path = tmp_path_factory.mktemp("runs") / "last_layer"
    assert main([*SMALL, "--run-dir", str(path)]) == 0
    return path


def test_the_chip_learns_from_features_that_it_did_not_learn(table):
    value = _value(table)
    assert value[f"{NAME}_base_float_accuracy"] > 0.9
    offline, online = (value[f"{NAME}_{system}_accuracy"] for system in ("offline_four_bits", "online_measured"))
    assert value[f"{NAME}_offline_float_accuracy"] > 0.9 and offline > 0.9
    # of five classes, 20 % is chance; a sample of 180 has a standard error of 3 points
    assert 0.6 < online < offline + 0.03
    assert value[f"{NAME}_online_measured_lost"] == pytest.approx(offline - online)
    seeds = value[f"{NAME}_online_measured_accuracy_by_seed"]
    assert len(seeds) == SEEDS and np.mean(seeds) == pytest.approx(online)


def test_every_weight_learns_from_every_sample(table):
    value = _value(table)
    half = renumbered(load_digits(), range(5, 10))
    samples = EPOCHS * (len(half.train.labels) + len(half.validation.labels))
    assert value[f"{NAME}_samples"] == samples
    assert value[f"{NAME}_synapses"] == 128 * 5
    assert value[f"{NAME}_updates"] == [samples * 128 * 5] * SEEDS  # p = 1
    assert value[f"{NAME}_transfers"] == samples // 512 + 2  # the first and the last


def test_a_run_stopped_in_both_phases_equals_one_that_was_not(table, tmp_path):
    config = Tables(table="last-layer", pairs=(NAME,), seeds=SEEDS, epochs=EPOCHS, base_epochs=BASE_EPOCHS)
    saved = tmp_path / "checkpoint.npz"
    job = config.job()
    for cut in (2, BASE_EPOCHS + 3, job.total):
        while job.steps < cut:
            job.step()
            job.steps += 1
        save(job, config, saved, 0.0)
        job = config.job()
        take_up(job, config, saved)
    assert {name: entry["value"] for name, entry in job.finish().metrics.items()} == _value(table)


def test_the_page_says_whose_networks_they_are(table, tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "DOCS", tmp_path)
    for name in ("results", "figures"):
        (tmp_path / name).mkdir()
    assert publish.main([str(table), "--machine", "a laptop", "--date", "2026-11-23"]) == 0
    page = (tmp_path / "results" / "tables-last-layer.md").read_text()
    assert "this project has neither" in page and "| ImageNet to Cars | 49.1% | 49.1% | 41.8% | 7.3 |" in page
    assert f"{_value(table)[f'{NAME}_online_measured_accuracy']:.2%}" in page
    assert (tmp_path / "figures" / "tables_last_layer.png").is_file()


def test_the_network_is_frozen_while_last_layers_learn():
    (case,) = cases(Tables(table="last-layer", pairs=(NAME,), samples=200, seeds=1, epochs=1, base_epochs=1))
    first = case.start()
    trained, _ = case.epoch(first, 0)
    learned, _ = case.epoch(trained, 1)

    def same(one, other):
        return all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True))

    assert not same(first.base, trained.base) and same(trained.base, learned.base)
    assert same(first.offline_float, trained.offline_float)
    assert not same(trained.offline_float, learned.offline_float)


def test_four_bits_are_fifteen_values():
    weights = jnp.linspace(-0.9, 0.7, 1200).reshape(40, 30)
    rounded = np.asarray(four_bits(weights))
    step = np.abs(np.asarray(weights)).max() / 7
    np.testing.assert_allclose(np.unique(rounded), step * np.arange(-7, 6), rtol=1e-5, atol=1e-6)
    assert len(np.unique(four_bits(jnp.linspace(-1, 1, 1200)))) == 15
    np.testing.assert_allclose(rounded, step * np.round(np.asarray(weights) / step), rtol=1e-5, atol=1e-6)
    assert not np.any(four_bits(jnp.zeros((2, 2))))
    network = four_bit_network({"kernel": weights, "bias": weights[0]})
    np.testing.assert_array_equal(network["kernel"], rounded)
    np.testing.assert_array_equal(network["bias"], weights[0])


def test_a_rate_decays_once():
    constant = TASKS["digits-online"]
    decaying = dataclasses.replace(constant, epochs=5, decay=0.1, decay_after=0.6)
    np.testing.assert_allclose([decaying.rate(epoch) for epoch in range(5)], [0.1, 0.1, 0.1, 0.01, 0.01])
    assert {constant.rate(epoch) for epoch in range(constant.epochs)} == {0.1}


def test_halves_have_labels_of_their_own():
    whole, half = load_digits(), renumbered(load_digits(), range(5, 10))
    assert half.classes == 5 and set(half.test.labels) == set(range(5))
    np.testing.assert_array_equal(half.train.images, whole.train.images[whole.train.labels >= 5])
    np.testing.assert_array_equal(half.train.labels + 5, whole.train.labels[whole.train.labels >= 5])


def test_pairs_and_the_published_ones():
    assert tuple(PAIRS) == PAIR_NAMES
    lost = [100 * (row.offline_four_bits - row.online) for row in PUBLISHED]
    np.testing.assert_allclose(lost, [1.8, 1.8, 6.6, 4.4, 7.3], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--table", "last-layer", "--pairs", "cifar"], "--pairs"),
        (["--table", "last-layer", "--tasks", "digits-online"], "--tasks"),
        (["--table", "last-layer", "--storages", "linear"], "--storages"),
        (["--table", "last-layer", "--pairs", "digits-halves", "--base-epochs", "0"], "--base-epochs"),
        (["--table", "last-layer", "--pairs", "digits-halves", "--samples", "1000"], "--samples"),
        (["--table", "ageing", "--pairs", "digits-halves"], "--pairs"),
        (["--table", "accuracy", "--base-epochs", "3"], "--base-epochs"),
    ],
)
def test_wrong_options_are_named(options, told, tmp_path, capsys):
    try:
        status = main(["tables", "--quiet", *options, "--run-dir", str(tmp_path / "run")])
    except SystemExit as stop:  # the parser's way
        status = stop.code
    assert status == 2 and told in capsys.readouterr().err and not (tmp_path / "run").exists()
