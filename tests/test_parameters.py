"""Declared parameters: refusals, the free form and back, populations, transformations."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jaxtyping import Array, Float

import hfsim
from hfsim.circuits import FloatingLine
from hfsim.devices import GB2Kinetics, Pulse, Transistor
from hfsim.errors import InputError
from hfsim.parameters import (
    Free,
    PhysicalModel,
    bounded,
    free,
    parameter,
    parameters,
    specifications,
)
from tests.declared_models import card_models, model_classes


class Example(PhysicalModel):
    """One parameter of each kind of bounds."""

    both: Float[Array, "..."] = parameter(unit="V", bounds=(-1.0, 3.0), doc="two bounds", default=0.5)
    above: Float[Array, "..."] = parameter(unit="uS", bounds=(2.0, None), doc="a lower bound", default=2.5)
    below: Float[Array, "..."] = parameter(unit="K", bounds=(None, 400.0), doc="an upper bound", default=300.0)
    decades: Float[Array, "..."] = parameter(
        unit="ns", bounds=(1e-4, 1e9), doc="many decades", logarithmic=True, default=1.0
    )
    tail: Float[Array, "..."] = parameter(
        unit="fF", bounds=(1e-3, None), doc="many decades, open above", logarithmic=True, default=7.0
    )
    any: Float[Array, "..."] = parameter(unit="1", doc="no bounds", default=-4.0)


class Pair(NamedTuple):
    pulse: Pulse
    others: tuple[Pulse, ...]


KINDS = ("both", "above", "below", "decades", "tail", "any")


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("value", "must", "was"),
    [
        (np.nan, "be finite", "nan"),
        (np.inf, "be finite", "inf"),
        ([1.0, np.nan], "be finite", "an array with NaN or infinity"),
        ("three", "be a real number or array of them, in V", "'three'"),
        ("3.0", "be a real number or array of them, in V", "'3.0'"),
        (None, "be a real number or array of them, in V", "None"),
        (1j, "be a real number or array of them, in V", "1j"),
        (10**400, "be a real number or array of them, in V", "1000"),
        (-20.5, "lie in [-20, 20] V", "-20.5"),
        (25, "lie in [-20, 20] V", "25"),
        ([0.0, 21.0], "lie in [-20, 20] V", "21"),
    ],
)
def test_a_wrong_value_is_refused_by_name(value, must, was):
    with pytest.raises(InputError) as caught:
        Pulse(value, 1.0)
    assert caught.value.argument == "Pulse.voltage"
    assert f"`Pulse.voltage` must {must}, but was {was}" in str(caught.value)


def test_the_meaning_of_a_parameter_is_its_remedy():
    with pytest.raises(InputError, match=r"but was -1: duration of the pulse\.$"):
        Pulse(1.0, -1.0)


def test_shapes_that_are_no_population_are_refused_by_name():
    with pytest.raises(InputError, match=r"`Pulse.width` must be a scalar or of the devices' shape \(3,\)"):
        Pulse(jnp.ones(3), jnp.ones(2))


def test_bounds_are_inclusive_at_the_precision_of_the_value():
    spec = specifications(GB2Kinetics)["b"]  # 0.05 is not a float32
    rest = dict(a=7.0, p=1.0, q=1.0, tau0=1.0, alpha=3.0, beta=2.0)
    for bound in (spec.lower, spec.upper):
        assert float(GB2Kinetics(b=bound, **rest).b) == np.float32(bound)


@pytest.mark.parametrize("whole", [3, np.int32(3), np.arange(3), jnp.arange(3), True])
def test_whole_numbers_become_floats(whole):
    assert jnp.issubdtype(Pulse(whole, 1.0).voltage.dtype, jnp.floating)


def test_a_declaration_without_room_between_its_bounds_is_refused():
    with pytest.raises(InputError, match="lower below upper"):
        parameter(unit="V", doc="nothing fits", bounds=(1.0, 1.0))


def test_a_logarithmic_declaration_needs_a_positive_lower_bound():
    with pytest.raises(InputError, match="positive lower end"):
        parameter(unit="V", doc="ln of zero", bounds=(0.0, 1.0), logarithmic=True)


def test_a_declaration_without_a_unit_is_refused():
    with pytest.raises(InputError, match="`unit` must"):
        parameter(unit="", doc="of what?")


def test_every_declared_parameter_says_what_it_means():
    for model in model_classes():
        for name, spec in specifications(model).items():
            assert spec.doc and not spec.doc.endswith("."), f"{model.__name__}.{name}"


# --------------------------------------------------------------------------------- optional parameters


class Optional(PhysicalModel):
    """A number that may be missing beside one that may not."""

    gain: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 2.0), doc="always there")
    noise: Float[Array, "..."] | None = parameter(unit="uA", bounds=(0.0, 1.0), doc="may be missing", default=None)


def test_a_missing_parameter_is_left_out():
    absent, present = Optional(1.5), Optional(1.5, 0.25)
    assert absent.noise is None and specifications(Optional)["noise"].optional
    assert not specifications(Optional)["gain"].optional
    assert [name for name, _, _ in parameters(absent)] == ["gain"]
    assert [name for name, _, _ in parameters(present)] == ["gain", "noise"]
    assert len(jax.tree.leaves(absent)) == 1
    for model in (absent, present):
        back = bounded(free(model))
        assert jax.tree.structure(back) == jax.tree.structure(model)
        np.testing.assert_allclose(back.gain, 1.5, rtol=1e-5)
    assert float(jax.jit(lambda m: m.gain)(absent)) == 1.5


def test_a_parameter_that_is_there_is_checked_though_it_may_be_missing():
    for build, argument in (
        (lambda: Optional(1.0, 2.0), "Optional.noise"),
        (lambda: Optional(1.0, "no"), "Optional.noise"),
        (lambda: Optional(None, 0.5), "Optional.gain"),
        (lambda: Optional(jnp.ones(3), jnp.ones(2)), "Optional.noise"),
    ):
        with pytest.raises(InputError) as caught:
            build()
        assert caught.value.argument == argument


# --------------------------------------------------------------------------------- walking a tree of models


def test_parameters_walks_models_in_models_and_collections(card):
    line = hfsim.hybrid.transfer_line(card)
    names = [name for name, _, _ in parameters({"line": line, "pulses": (Pulse(1.0, 2.0),)})]
    assert "line.capacitor.kinetics.tau0" in names and "pulses.0.width" in names
    assert len(names) == len(set(names))


def test_free_and_bounded_keep_the_structure_of_collections():
    models = {"pair": Pair(Pulse(1.0, 2.0), (Pulse(3.0, 4.0),)), "list": [Example()]}
    back = bounded(free(models))
    assert jax.tree.structure(back) == jax.tree.structure(models)
    for (name, _, old), (_, _, new) in zip(parameters(models), parameters(back), strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-5, err_msg=name)


def test_every_parameter_of_a_collection_is_made_free():
    # a named tuple was once passed through as it was, and its parameters could leave their bounds
    far = jax.tree.map(lambda x: x + 1e6, free(Pair(Pulse(1.0, 2.0), (Pulse(3.0, 4.0),))))
    back = bounded(far)
    assert float(back.pulse.voltage) == float(back.others[0].voltage) == 20.0


# ------------------------------------------------------------------------------------- free and bounded


@pytest.mark.parametrize("double", [False, True])
def test_free_and_bounded_undo_each_other_for_every_model_of_the_card(double, card):
    # float32: the free form of a value spans up to 60 e-folds, whose rounding is 4e-6 of the value; logarithms of
    # 30 decades the same
    with jax.enable_x64(double):
        models = card_models(card)
        back = bounded(free(models))
        for (name, spec, old), (_, _, new) in zip(parameters(models), parameters(back), strict=True):
            at_bound = np.any((old <= spec.lower) | (old >= spec.upper))
            # a value at its bound moves inside by one rounding of its unit
            tolerance = dict(atol=2e-7) if at_bound else dict(rtol=1e-12 if double else 2e-5)
            np.testing.assert_allclose(new, old, err_msg=name, **tolerance)


def test_a_value_far_below_a_wide_upper_bound_survives():
    # 2 us within 0..1e18 ns is a share of 2e-15, below the rounding of 1
    assert float(bounded(free(Pulse(3.0, 2000.0))).width) == pytest.approx(2000.0, rel=1e-5)


def test_a_value_at_its_bound_becomes_free_and_stays_put():
    for bound in ((-1.0, 2.0, 1e-4), (3.0, 2.0, 1e9)):
        model = Example(both=bound[0], above=bound[1], decades=bound[2])
        values = free(model)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(values))
        back = bounded(values)
        for name in KINDS:
            np.testing.assert_allclose(getattr(back, name), getattr(model, name), rtol=3e-5, err_msg=name)


@jax.jit
def moved(values: Free, steps):
    return bounded(jax.tree.map(lambda leaf: leaf[..., None] + steps.astype(leaf.dtype), values))


def assert_inside(values, steps):
    for name, spec, value in parameters(moved(values, steps)):
        lower, upper = value.dtype.type(spec.lower), value.dtype.type(spec.upper)
        assert np.all(np.isfinite(value)), name
        assert np.all((value >= lower) & (value <= upper)), name


STEPS = st.lists(
    st.one_of(st.floats(-1e30, 1e30), st.floats(-100.0, 100.0)), min_size=8, max_size=8
)  # one size, one compilation
CORNERS = [1e30, -1e30, 1e3, -1e3, 90.0, -90.0, 17.0, 0.0]


@pytest.mark.parametrize("double", [False, True])
def test_no_step_of_the_free_values_leaves_the_bounds(double, card):
    with jax.enable_x64(double):
        values = free({**card_models(card), "example": Example()})

        @settings(max_examples=60, deadline=None)
        @example(CORNERS)
        @given(STEPS)
        def check(steps):
            assert_inside(values, jnp.asarray(steps))

        check()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6))
def test_any_value_inside_its_bounds_comes_back(shares):
    shares = dict(zip(KINDS, shares, strict=True))
    model = Example(
        both=-1.0 + 4.0 * shares["both"],
        above=2.0 + 1e3 * shares["above"],
        below=400.0 - 1e3 * shares["below"],
        decades=1e-4 * 1e13 ** shares["decades"],
        tail=1e-3 * 1e9 ** shares["tail"],
        any=1e3 * shares["any"],
    )
    back = bounded(free(model))
    for name in KINDS:
        np.testing.assert_allclose(getattr(back, name), getattr(model, name), rtol=3e-5, atol=1e-6, err_msg=name)


def test_the_gradient_flows_through_the_free_form(x64):
    # d(value)/d(free) by hand: logistic between two bounds, softplus off one, times the value in ln
    values = free(Example())
    slopes = jax.grad(lambda v: sum(getattr(bounded(v), name) for name in KINDS))(values).values

    def inside(share):
        return share * (1 - share)

    assert float(slopes.both) == pytest.approx(4.0 * inside(1.5 / 4), rel=1e-9)
    assert float(slopes.above) == pytest.approx(1 - np.exp(-0.5), rel=1e-9)
    assert float(slopes.below) == pytest.approx(1 - np.exp(-100.0), rel=1e-9)
    decades = np.log(1e13)
    assert float(slopes.decades) == pytest.approx(decades * inside(np.log(1e4) / decades), rel=1e-9)
    assert float(slopes.tail) == pytest.approx(7.0 * (1 - np.exp(-np.log(7e3))), rel=1e-9)
    assert float(slopes.any) == 1.0


def test_descent_in_the_free_form_finds_a_value_inside_the_bounds():
    @jax.jit
    def loss(values):
        return (bounded(values).both - 2.0) ** 2 + (jnp.log(bounded(values).decades / 1e3) / 30) ** 2

    values = free(Example())
    for _ in range(200):
        values = jax.tree.map(lambda x, g: x - 0.5 * g, values, jax.grad(loss)(values))
    assert float(bounded(values).both) == pytest.approx(2.0, abs=1e-3)
    assert float(bounded(values).decades) == pytest.approx(1e3, rel=1e-3)


def test_bounded_refuses_what_free_did_not_make():
    with pytest.raises(InputError, match="`values` must be what `free` returned, but was Pulse"):
        bounded(Pulse(1.0, 1.0))


# -------------------------------------------------------------------------- populations and transformations


def test_a_population_is_the_same_module_with_larger_leaves(card):
    transistor = card.build(Transistor, "transistor_saturation", V_T0=[0.5, 1.0, 1.5])
    currents = transistor.current(2.0, 0.0, 1.0)
    for index, threshold in enumerate((0.5, 1.0, 1.5)):
        one = card.build(Transistor, "transistor_saturation", V_T0=threshold)
        np.testing.assert_allclose(currents[index], one.current(2.0, 0.0, 1.0), rtol=1e-6)


def test_a_population_goes_through_the_free_form():
    line = FloatingLine(C_L=jnp.array([[10.0, 100.0], [1e3, 1e5]]))
    np.testing.assert_allclose(bounded(free(line)).C_L, line.C_L, rtol=2e-5)


def test_vmap_over_a_population_equals_a_loop(card):
    thresholds = jnp.array([0.5, 1.0, 1.5])
    population = card.build(Transistor, "transistor_saturation", V_T0=thresholds)
    axes = eqx.tree_at(lambda t: t.V_T0, jax.tree.map(lambda _: None, population), 0, is_leaf=lambda x: x is None)
    mapped = eqx.filter_vmap(lambda t: t.current(2.0, 0.0, 1.0), in_axes=(axes,))(population)
    np.testing.assert_allclose(mapped, population.current(2.0, 0.0, 1.0), rtol=1e-6)


def test_models_are_built_from_traced_values():
    def width_of(value):
        return Pulse(1.0, value).width * 2

    values = jnp.array([1.0, 2.0])
    np.testing.assert_array_equal(jax.vmap(width_of)(values), 2 * values)
    assert float(jax.jit(width_of)(3.0)) == 6.0
    assert float(jax.grad(width_of)(3.0)) == 2.0


def test_a_model_passes_through_jit_as_an_argument():
    model = jax.jit(lambda m: m)(Example())
    assert isinstance(model, Example) and float(model.both) == 0.5


def test_free_and_bounded_work_inside_jit_and_vmap():
    def there_and_back(value):
        return bounded(free(Pulse(1.0, value))).width

    values = jnp.array([1.0, 2e3, 1e7])
    np.testing.assert_allclose(jax.jit(jax.vmap(there_and_back))(values), values, rtol=1e-5)
