"""The character job on a small text: its losses against other computations, its run as a user makes it."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hfsim import InputError
from hfsim.draws import address, stream
from models import CharLSTM as Network
from training import publish
from training.__main__ import main
from training.char_lstm.configuration import CharLSTM
from training.char_lstm.reader import _write, frequencies_loss
from training.checkpoint import FILE
from training.data.text import NOVEL
from training.pulsed.names import TIMES
from training.run_directory import CONFIGURATION
from training.runner import save

SIZES = {"epochs": 1, "batch": 4, "sequence": 10, "chunk": 11, "hidden": 4, "layers": 1, "sample": 12}
OPTIONS = ["--products", "exact", "--quiet", *(str(x) for name, size in SIZES.items() for x in (f"--{name}", size))]
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text of 1,000 characters that repeats itself: 22 batches, two steps."""
    path = tmp_path_factory.mktemp("texts") / "tale.txt"
    path.write_text(("abc, bca; cab.\n" * 80)[:1000], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory, text):
    """A run of both rules that was never stopped."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert main(["char-lstm", *OPTIONS, "--text", str(text), "--run-dir", str(path)]) == 0
    return path


def configuration(text, **options):
    """The same in Python."""
    return CharLSTM(text=text, **{**SIZES, "products": "exact", **options})


def result(path):
    """metrics.json of a run."""
    return json.loads((path / "metrics.json").read_text())


def values(path):
    """Metrics of a run by name."""
    return {name: entry["value"] for name, entry in result(path)["metrics"].items()}


def test_metrics_and_report(whole, text):
    value, html = values(whole), (whole / "report.html").read_text()
    assert value["vocabulary"] == 8 and value["characters"] == [900, 50, 50]
    assert value["epochs_at_points"] == [0.5, 1.0] and value["epochs"] == 1
    for rule in ("float", "agad"):
        for name in ("validation_loss_at_points", "training_loss_at_points"):
            assert len(value[f"{rule}_{name}"]) == 2 and all(0.1 < loss < 3 for loss in value[f"{rule}_{name}"])
        # the last point is the whole validation part here, under the same weights
        assert value[f"{rule}_validation_loss_at_points"][-1] == pytest.approx(value[f"{rule}_validation_loss"])
        assert value[f"{rule}_test_loss_bits"] == pytest.approx(value[f"{rule}_test_loss"] / np.log(2))
        assert len(value[f"{rule}_text"]) == 12 and set(value[f"{rule}_text"]) <= set("abc,; .\n")
    assert value["float_training_loss_at_points"][1] < value["float_training_loss_at_points"][0]
    assert len(value["agad_loss_by_age"]) == len(TIMES) and "float_loss_by_age" not in value
    assert value["agad_loss_by_age"][-1] != value["agad_test_loss"]
    # 5 pulses between two reads of a row, of which 880 samples make 73 in 12 rows and 220 in 4
    assert 0.5 * 5 * 73 < value["agad_fast_pulses_per_device"] < 1.5 * 5 * 220
    assert html.count("data:image/png;base64,") == 2 and "What they write" in html
    settings = result(whole)["configuration"]
    assert settings["text"].startswith("sha256 ") and str(text) not in json.dumps(settings)


def test_a_run_stopped_and_resumed_equals_one_that_was_not(whole, text, tmp_path, capsys):
    path = tmp_path / "cut"
    path.mkdir()
    shutil.copy(whole / CONFIGURATION, path)
    config = configuration(text)
    job = config.job()
    job.step()
    job.steps = 1
    save(job, config, path / FILE, 0.0)
    other = tmp_path / "moved.txt"
    other.write_text(text.read_text().replace("cab", "bac"))
    assert main(["char-lstm", "--resume", "--quiet", "--run-dir", str(path), "--text", str(other)]) == 2
    assert "`--text` must be that of the run to resume" in capsys.readouterr().err
    shutil.copy(text, other)  # the place is no setting
    assert main(["char-lstm", "--resume", "--quiet", "--run-dir", str(path), "--text", str(other)]) == 0
    assert values(path) == values(whole) and result(path)["configuration"] == result(whole)["configuration"]


def test_training_reads_the_streams_in_order_with_their_state(text):
    """At a learning rate of 0 the losses while learning are those of the whole part, each epoch anew."""
    job = configuration(text, epochs=2, rules=("float",), learning_rate=0.0, dropout=0.0).job()
    for job.steps in range(4):
        job.step()
    while_learning = np.asarray(job.curves["float"])[:, 1]
    np.testing.assert_array_equal(while_learning[:2], while_learning[2:])
    reader = job.readers["float"]
    trained, codes = job.trained["float"], job.text.train
    assert np.mean(while_learning[:2]) == pytest.approx(reader.loss(trained, codes, KEY), rel=1e-6)
    # each stream from beginning to end, read at once
    network, streams = reader.learner.parts.network(), codes[:881]
    inputs, targets = streams[:-1].reshape(4, -1).T, streams[1:].reshape(4, -1).T
    logits = jax.jit(lambda x: network(x)[1])(inputs)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    assert np.mean(while_learning[:2]) == pytest.approx(float(losses.mean()), rel=1e-5)
    for most in (1, 2):
        first = float(losses[: 10 * most].mean())
        assert reader.loss(trained, codes, KEY, most=most) == pytest.approx(first, rel=1e-5)


def test_dropout_and_clip_enter_the_training(text):
    def trained(**options):
        job = configuration(text, rules=("float",), chunk=1, **options).job()
        job.step()
        return job.curves["float"][0][1], np.concatenate(
            [np.ravel(leaf) for leaf in jax.tree.leaves((job.trained["float"].weights, job.trained["float"].digital))]
        )

    start = configuration(text, rules=("float",)).job().trained["float"]
    begun = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves((start.weights, start.digital))])
    (loss, after), (dropped, _), (_, clipped) = trained(dropout=0.0), trained(dropout=0.5), trained(clip=1e-3)
    assert loss != dropped
    assert np.linalg.norm(after - begun) > 0.1
    assert np.linalg.norm(clipped - begun) == pytest.approx(1e-3 * 10, rel=1e-3)  # clip times the learning rate


def test_a_network_writes_by_its_own_probabilities():
    network = Network(6, 5, rngs=nnx.Rngs(0))
    for part in (*network.cells, network.head):  # what was read before must matter
        part.array.hold(6 * part.array.matrix)
    warm_up = jnp.asarray([1, 5, 2])
    codes = np.asarray(_write(*nnx.split(network), warm_up, KEY, False, 40))
    logits = jax.jit(lambda x: network(x)[1])(jnp.concatenate([warm_up, codes])[:, None])[2:-1, 0]
    drawn = [jax.random.categorical(address(stream(KEY, "characters"), t), row) for t, row in enumerate(logits)]
    np.testing.assert_array_equal(codes, drawn)
    assert len(set(codes.tolist())) > 2


def test_analogue_products_read_with_noise_and_age(text):
    job = configuration(text, rules=("agad",), products="analog").job()
    reader, trained, codes = job.readers["agad"], job.trained["agad"], job.text.test
    one, same, other = (reader.loss(trained, codes, jax.random.key(seed)) for seed in (0, 0, 1))
    assert one == same != other
    assert reader.loss(trained, codes, jax.random.key(0), age="10 years") != one
    assert reader.loss(trained, codes, jax.random.key(0)) == one


def test_frequencies_give_their_entropy():
    train, test = np.asarray([0] * 6 + [1] * 2), np.asarray([0, 0, 1])
    expected = -(2 * np.log(7 / 11) + np.log(3 / 11)) / 3  # one more of each of three characters
    assert frequencies_loss(train, test, 3) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--rules", "dream"], "--rules"),
        (["--rules", "float", "float"], "--rules"),
        (["--dropout", "1"], "--dropout"),
        (["--sequence", "0"], "--sequence"),
        (["--clip", "0"], "--clip"),
        (["--fill", "2"], "--fill"),
        (["--text", "nowhere.txt"], "--text"),
        (["--batch", "32"], "`--text` must leave more than 32 x 100"),
    ],
)
def test_bad_options_are_refused_in_one_line(arguments, named, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = arguments if "--text" in arguments else ["--text", str(text), *arguments]
    with pytest.raises(SystemExit) as stop:
        raise SystemExit(main(["char-lstm", *given]))
    error = capsys.readouterr().err
    assert stop.value.code == 2 and named in error and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_a_missing_book_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HFSIM_DATA", raising=False)
    monkeypatch.setattr("training.data.text.NOVEL", NOVEL._replace(addresses=()))  # nothing here needs the internet
    assert main(["char-lstm", "--run-dir", str(tmp_path / "run")]) == 2
    assert "war_and_peace.txt" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_settings_are_the_contents_of_the_text(text, tmp_path):
    config = configuration(text)
    copy = tmp_path / "copy.txt"
    shutil.copy(text, copy)
    assert dataclasses.replace(config, text=copy).settings() == config.settings()
    copy.write_text("another\n" * 200)
    assert dataclasses.replace(config, text=copy).settings()["text"] != config.settings()["text"]
    with pytest.raises(InputError, match="--text"):
        dataclasses.replace(config, text=tmp_path / "none.txt").settings()


def test_a_run_is_published(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "DOCS", tmp_path)
    for folder in ("results", "figures"):
        (tmp_path / folder).mkdir()
    assert publish.main([str(whole), "--machine", "a laptop", "--date", "2026-11-22"]) == 0
    page = (tmp_path / "results" / "char-lstm.md").read_text()
    assert "| AGAD | " in page and "a laptop" in page and values(whole)["agad_text"] in page
    assert f"{values(whole)['agad_test_loss']:.3f}" in page
    assert (tmp_path / "figures" / "char_lstm_curves.png").exists()
