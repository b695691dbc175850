"""Monte Carlo: no cut of the work changes a bit, stopping, replay, memory, gradients, refusals, what it shows."""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
import xarray as xr

from hfsim import InputError, load_card
from hfsim.crossbar import CrossbarDesign
from hfsim.devices import Pulse
from hfsim.devices.retention import CMORetention, PCMRetention
from hfsim.devices.variability import LogNormal, Normal, Population, WaferGradient
from hfsim.draws import normal
from hfsim.io import Coordinate
from hfsim.studies import (
    Chips,
    Fixed,
    Output,
    Parts,
    ProductError,
    Sampled,
    Until,
    chip_results,
    monte_carlo,
    read_study,
)
from hfsim.studies import batches as program
from hfsim.studies.batches import Program
from hfsim.studies.chips import chip_keys
from tests.small_study import CHIPS, CHUNK, TIMES, population, run

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def whole():
    return run()


@pytest.fixture(scope="module")
def pulses():
    return Population(Pulse(2.0, 100.0), {"voltage": Normal(0.1), "width": LogNormal(0.2)})


def voltage(pulses, key):
    """Quick to compile."""
    return {"V": pulses.voltage, "noise": normal(key, (2,), jnp.float32), "high": pulses.voltage > 2.1}


def require_same(one, other):
    for name in one.outputs:
        np.testing.assert_array_equal(one.dataset[name].values, other.dataset[name].values)
    for ask in (lambda s: s.mean("error"), lambda s: s.deviation("error"), lambda s: s.probability("works")):
        for a, b in zip(ask(one)[:3], ask(other)[:3], strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.quantile("error", 0.9).value, other.quantile("error", 0.9).value)


# --------------------------------------------------------------------------------------------- the same chips


def test_the_batch_changes_no_bit(whole):
    mesh = jax.make_mesh((1,), ("anything",))
    require_same(run(mesh=mesh, batch=3), whole)
    assert whole.chips == CHIPS and whole.dataset.error.dims == ("chip", "time")


def test_the_order_of_the_chunks_changes_no_bit(whole, tmp_path):
    # the last of three processes, alone: its own chunks first, then those of the others from the end
    require_same(run(tmp_path / "study.zarr", share=(2, 3)), whole)


def test_chips_of_one_step_are_one_compiled_shape_too():
    together = run(together=4)
    require_same(run(together=4, batch=5), together)
    np.testing.assert_array_equal(together.replay(86)["error"], together.dataset.error.values[86])


def test_a_chip_can_be_computed_again(whole):
    for chip in (0, 41, CHIPS - 1):
        again = whole.replay(chip)
        np.testing.assert_array_equal(again["error"], whole.dataset.error.values[chip])
        assert again["works"] == whole.dataset.works.values[chip]
    errors = whole.dataset.error.values[:, 2]
    assert whole.worst("error", 3, at={"time": 86400.0}).tolist() == np.argsort(-errors, kind="stable")[:3].tolist()
    assert whole.worst("works", 2, largest=False).tolist() == np.flatnonzero(~whole.dataset.works.values)[:2].tolist()
    of_devices, _ = chip_keys(jax.random.key(3), 41)
    drawn = population().population.sample((6, 5), of_devices)
    np.testing.assert_allclose(whole.devices(41).voltage, drawn.voltage, rtol=1e-6)


def test_chips_are_not_those_of_another_key_or_number(pulses):
    found = monte_carlo(voltage, pulses, 2000, jax.random.key(0)).dataset
    assert len(np.unique(found.V)) > 1900  # float32 normals: some are drawn twice
    draws = np.stack([found.V.values, found.noise.values[:, 0], found.noise.values[:, 1]])
    correlations = np.corrcoef(draws)[np.triu_indices(3, 1)]
    assert np.max(np.abs(correlations)) < 3.5 / np.sqrt(2000)
    fewer = monte_carlo(voltage, pulses, 100, jax.random.key(0)).dataset
    np.testing.assert_array_equal(fewer.V, found.V[:100])
    other = monte_carlo(voltage, pulses, 100, jax.random.key(1)).dataset
    assert not np.any(other.V.values == fewer.V.values)


def test_statistics_are_those_of_the_population(pulses):
    study = monte_carlo(voltage, pulses, 4096, jax.random.key(0))
    assert study.mean("V").low < 2.0 < study.mean("V").high
    assert study.deviation("V").low < 0.1 < study.deviation("V").high
    median, high = study.quantile("V", 0.5), study.probability("high")
    assert median.low < 2.0 < median.high and high.low < 0.158655 < high.high
    assert high.value == np.mean(study.dataset.high)


# ----------------------------------------------------------------------------------------------------- chips


def test_parts_and_dies_make_the_devices(pulses):
    X = np.array([0.0, 1.0, -1.0])
    wafer = Population(Pulse(2.0, 100.0), {}, gradients={"voltage": WaferGradient(0.1, 0.0, 0.2)})
    chips = Parts({"array": Chips(pulses, (3,)), "driver": Chips(wafer, dies=(X, np.zeros(3)))})
    found = monte_carlo(lambda d, key: {"V": d["driver"].voltage, "n": d["array"].voltage}, chips, 7, jax.random.key(0))
    expected = 2.0 * (1 + 0.1 * X + 0.2 * X**2)[np.arange(7) % 3]
    np.testing.assert_allclose(found.dataset.V, expected, rtol=1e-6)
    assert found.dataset.n.shape == (7, 3) and list(chips.factors()) == ["array: voltage", "array: width"]


def test_populations_without_normals(pulses):
    key = jax.random.key(0)
    fixed = monte_carlo(voltage, Fixed(Pulse(2.0, 100.0)), 50, key)
    assert np.all(fixed.dataset.V == 2.0) and np.std(fixed.dataset.noise) > 0.5
    by_function = monte_carlo(voltage, lambda key: pulses.sample((), key), 50, key)
    np.testing.assert_array_equal(by_function.dataset.V, monte_carlo(voltage, pulses, 50, key).dataset.V)
    assert isinstance(Sampled(lambda key: 1.0), eqx.Module)


# -------------------------------------------------------------------------------------------------- stopping


def test_a_study_stops_at_the_same_chip_however_it_is_cut(pulses, tmp_path):
    rule = Until("high", 0.06)
    options = {"chunk": 64, "until": rule}
    one = monte_carlo(voltage, pulses, 4000, jax.random.key(0), **options)
    two = monte_carlo(
        voltage, pulses, 4000, jax.random.key(0), store=tmp_path / "s.zarr", share=(1, 2), batch=50, **options
    )
    looks = rule.looks(4000, 64)
    assert one.chips == two.chips == one.dataset.sizes["chip"] == two.dataset.sizes["chip"]
    assert one.chips in looks and "look" in one.dataset.attrs["stopped"] and "stopped by high" in repr(one)
    confidence = rule.each(len(looks))
    assert one.probability("high", confidence).half_width <= 0.06
    sooner = looks[looks.index(one.chips) - 1]
    before = monte_carlo(voltage, pulses, sooner, jax.random.key(0))
    assert before.probability("high", confidence).half_width > 0.06
    # without the rule the store is completed, and what was there is not computed again
    lines = []
    more = monte_carlo(
        voltage, pulses, 4000, jax.random.key(0), store=tmp_path / "s.zarr", chunk=64, progress=lines.append
    )
    assert more.chips == 4000 and more.dataset.attrs["stopped"] == ""
    np.testing.assert_array_equal(more.dataset.V[: one.chips], one.dataset.V)


def test_a_rule_may_look_at_a_quantile_or_a_label(pulses):
    rule = Until("noise", 0.2, quantile=0.5, at={"noise_0": 1})
    study = monte_carlo(voltage, pulses, 2000, jax.random.key(0), until=rule)
    assert study.chips < 2000 and study.dataset.attrs["stopped"].startswith("quantile 0.5 of noise at")


# ------------------------------------------------------------------------------------------- memory and mesh


def test_the_batch_is_what_memory_holds(monkeypatch, pulses):
    key, chips = jax.random.key(0), Chips(pulses)
    made = Program(voltage, chips, key)
    full = made.compiled(4000)
    # four bytes for each of three voltages and one for a decision, twice, as the next batch is computed meanwhile
    assert full.batch == 4000 and full.bytes > 2 * 4000 * made.chip_bytes and made.chip_bytes == 13
    room = int(0.5 * full.bytes / program.MEMORY_SHARE)
    monkeypatch.setattr(program, "host_memory", lambda: room * len(jax.local_devices()))
    small = Program(voltage, chips, key)
    half = small.compiled(4000)
    assert 1500 < half.batch < 2000 and half.bytes <= program.MEMORY_SHARE * room
    np.testing.assert_array_equal(small.start(0, 64)["V"][:64], made.start(0, 64)["V"][:64])
    monkeypatch.setattr(program, "host_memory", lambda: 1000)
    with pytest.raises(InputError, match="fit into 0 MiB"):
        Program(voltage, chips, key).compiled(100)


def test_free_memory_is_told():
    assert 2**20 < program.host_memory() < 2**50


# ---------------------------------------------------------------------------------------------- pure function


def test_a_mean_over_chips_is_differentiable_in_the_population(x64):
    def deviated(s):
        chips = Chips(Population(Pulse(2.0, 100.0), {"voltage": Normal(s)}), (4,))
        found = chip_results(lambda p, key: jnp.mean(p.voltage**2), chips, jnp.arange(30), jax.random.key(0))
        return jnp.mean(found)

    z = (run_voltages(0.1) - 2.0) / 0.1
    exact = np.mean(2 * (2.0 + 0.1 * z) * z)  # d/ds (m + s z)^2
    assert float(jax.grad(deviated)(0.1)) == pytest.approx(exact, rel=1e-9)
    assert float(jax.jvp(deviated, (0.1,), (1.0,))[1]) == pytest.approx(exact, rel=1e-9)


def run_voltages(s):
    chips = Chips(Population(Pulse(2.0, 100.0), {"voltage": Normal(s)}), (4,))
    return np.asarray(chip_results(lambda p, key: p.voltage, chips, jnp.arange(30), jax.random.key(0)))


def test_the_pure_function_gives_the_same_chips(pulses):
    study = monte_carlo(voltage, pulses, 40, jax.random.key(0))
    found = chip_results(voltage, Chips(pulses), jnp.arange(10, 40), jax.random.key(0), together=7)
    np.testing.assert_allclose(found["V"], study.dataset.V[10:], rtol=1e-6)
    np.testing.assert_allclose(found["noise"], study.dataset.noise[10:], rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------------------------ what it says


def test_the_store_says_what_it_holds(whole, tmp_path):
    path = tmp_path / "study.zarr"
    lines = []
    study = run(path, date="2026-11-23", name="a product", progress=lines.append)
    plain = xr.open_zarr(path)
    np.testing.assert_array_equal(plain.error, whole.dataset.error)
    assert plain.error.dtype == np.float32 and plain.works.dtype == bool and bool(plain.computed.all())
    assert plain.error.attrs["units"] == "uA" and plain.time.attrs["units"] == "s"
    np.testing.assert_array_equal(plain.time, TIMES)
    attributes = plain.attrs
    assert attributes["experiment"] == "a product" and attributes["date"] == "2026-11-23"
    assert attributes["key"] == "threefry2x32 0000000003000000" and len(attributes["digest"]) == 16
    assert all(name in attributes["versions"] for name in ("hfsim 0", "jax 0", "jaxlib", "python 3"))
    assert len(lines) == -(-CHIPS // CHUNK) and "a second" in lines[3] and "left" in lines[3]
    assert lines[-1].startswith(f"{CHIPS} of {CHIPS} chips")
    again = read_study(path)
    require_same(again, study)
    with pytest.raises(InputError, match="know its experiment"):
        again.replay(3)


def test_a_study_prints_itself_with_units(whole):
    text, table = repr(whole), whole._repr_html_()
    assert f"{CHIPS} chips" in text and "error (time 1 h)" in text and "uA" in text
    assert table.count("<tr>") == 5 and "<td" in table and "works" in table
    assert repr(whole.dataset)


def test_a_study_plots_itself(whole):
    along = whole.plot("error")
    assert along.get_xlabel() == "time [s]" and along.get_ylabel() == "error [uA]" and along.get_xscale() == "log"
    alone = whole.plot("error", at={"time": 1.0})
    assert alone.get_xlabel() == "error [uA]" and sum(bar.get_height() for bar in alone.patches) == CHIPS
    assert whole.plot("works").get_ylabel() == "chips"
    matplotlib.pyplot.close("all")


def test_chips_that_are_not_finite_are_told():
    def broken(pulse, key):
        return jnp.where(pulse.voltage > 2.2, jnp.nan, pulse.voltage)

    chips = Population(Pulse(2.0, 100.0), {"voltage": Normal(0.1)})
    study = monte_carlo(broken, chips, 300, jax.random.key(0))
    bad = np.flatnonzero(np.isnan(study.dataset.value.values))
    assert len(bad) > 0 and study.unsound("value").tolist() == bad.tolist()
    assert f"value is not finite in {len(bad)}" in repr(study)


# --------------------------------------------------------------------------------------------------- refusals

REFUSED = {
    "n": ({"n": 0}, "`n` must be an integer from 1"),
    "key": ({"key": jax.random.PRNGKey(0)}, "typed key"),
    "population": ({"population": Pulse(2.0, 100.0)}, r"Fixed\(model\)"),
    "experiment": ({"experiment": 3.0}, "`experiment` must be a function"),
    "nothing": ({"experiment": lambda d, k: None}, "return one number"),
    "complex": ({"experiment": lambda d, k: jnp.zeros(2) * 1j}, "real numbers"),
    "unknown output": ({"outputs": {"W": Output("V")}}, "`outputs` must be of V"),
    "axes": ({"outputs": {"noise": Output("V", ("a", "b"))}}, "name the 1 axes"),
    "unit": ({"outputs": {"V": Output("volts")}}, "unit"),
    "coordinate": ({"coordinates": {"noise_0": Coordinate(np.arange(3))}}, "be 2 labels"),
    "unknown coordinate": ({"coordinates": {"when": Coordinate(np.arange(2))}}, "`coordinates` must be of noise_0"),
    "one name twice": ({"experiment": lambda d, k: {"a.b": d.voltage, "a": {"b": d.width}}}, "but was a.b twice"),
    "dims": ({"outputs": {"noise": Output("V", "noise_0")}}, "dims` must be a list of names"),
    "doc": ({"outputs": {"noise": Output("V", doc=5)}}, "doc` must be a text"),
    "labels in rows": ({"coordinates": {"noise_0": Coordinate([[1.0], [1.0, 2.0]])}}, "numbers or texts in a row"),
    "labels of no kind": ({"coordinates": {"noise_0": Coordinate([None, {}])}}, "numbers or texts in a row"),
    "study's name": ({"name": 5}, "`name` must be a text"),
    "date": ({"date": 2026}, "`date` must be a text"),
    "reserved": ({"experiment": lambda d, k: {"chip": d.voltage}}, "beside computed"),
    "chunk": ({"chunk": 6, "together": 4}, "multiple of `together`"),
    "together": ({"together": 0}, "`together`"),
    "batch": ({"batch": 0}, "`batch`"),
    "share": ({"share": (2, 2)}, "`share`"),
    "no store": ({"share": (0, 2)}, "`store` must be given where several processes"),
    "until": ({"until": Until("W", 0.1)}, "look at an output"),
    "until a quantile of a decision": ({"until": Until("high", 0.1, quantile=0.5)}, "quantile of numbers"),
    "until nowhere": ({"until": Until("V", 0.1, at={"time": 1.0})}, "name dimensions"),
    "until a text": ({"until": Until("noise", 0.1, at={"noise_0": "1 h"})}, "be one of 0, 1, but was '1 h'"),
    "until no label": ({"until": Until("noise", 0.1, at={"noise_0": 5})}, "be one of 0, 1"),
}


@pytest.mark.parametrize(("changed", "told"), REFUSED.values(), ids=REFUSED)
def test_wrong_arguments_are_named(pulses, changed, told):
    arguments = {"experiment": voltage, "population": pulses, "n": 10, "key": jax.random.key(0)} | changed
    with pytest.raises(InputError, match=told):
        monte_carlo(**arguments)


def test_wrong_questions_are_refused(whole, pulses):
    for ask, told in (
        (lambda: whole.mean("errors"), "be one of error, works"),
        (lambda: whole.probability("error"), "true or false"),
        (lambda: whole.quantile("works", 0.5), "of numbers"),
        (lambda: whole.worst("error", 100, at={"time": 1.0}), "from 1 to 16"),
        (lambda: whole.worst("error"), "label of each of time"),
        (lambda: whole.worst("error", at={"time": "1 h"}), "be one of 1.0, 3600.0, 86400.0, but was '1 h'"),
        (lambda: whole.replay(CHIPS), "from 0 to 89"),
        (lambda: Chips(pulses, dies=(np.zeros(2), np.zeros(2))), "gradients over the wafer"),
    ):
        with pytest.raises(InputError, match=told):
            ask()


# -------------------------------------------------------------------------------------------- ready experiment


def test_errors_of_products_are_those_of_the_matrix_vector_benchmark():
    card = load_card("cmo-hfox-2025")
    experiment = ProductError(CrossbarDesign.from_card(card).kernel(), coarse=True)
    study = monte_carlo(experiment, Fixed(CMORetention.from_card(card)), 24, jax.random.key(0))
    mean = study.mean("error")
    assert study.dataset.time.attrs["units"] == "s" and "error (time 10 years)" in repr(study)
    # docs/results/mvm.md, 200 chips: 0.073 at 1 s and 0.252 at 10 years, to three digits
    for place, published in ((0, 0.073), (-1, 0.252)):
        assert mean.low[place] - 5e-4 < published < mean.high[place] + 5e-4


def test_products_of_other_devices():
    card = load_card("pcm-nandakumar-2019")
    experiment = ProductError(CrossbarDesign.from_card(card).kernel(), size=8, vectors=4, times=("1 s", "1 day"))
    found = chip_results(experiment, Fixed(PCMRetention.from_card(card)), jnp.arange(3), jax.random.key(0))["error"]
    assert found.shape == (3, 2) and np.all(np.asarray(found[:, 1]) > np.asarray(found[:, 0]))  # it drifts
