"""Designs: free numbers and back, bounds, grids, ties, and what is refused before anything is computed."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim import InputError
from hfsim.hybrid import transfer_line
from hfsim.studies import Design, Tie, Variable
from hfsim.studies.design import require_matter


@pytest.fixture(scope="module")
def line():
    return transfer_line(hfsim.load_card("cea-leti-2025-hybrid"))


@pytest.fixture
def design(line):
    variables = [Variable("cells", 0.5, 16.0, grid=1.0), Variable("drive.V_SL", 2.0, 4.8), Variable("drive.width")]
    return Design(line, variables, [Tie("drive.V_SET", "drive.V_SL", 0.6)])


def test_the_start_is_the_model(design, line):
    z = design.start()
    assert z.shape == (5,) and len(design.labels) == len(design.units) == 5
    assert design.labels == ["cells[0]", "cells[1]", "cells[2]", "drive.V_SL", "drive.width"]
    assert design.units == ["1", "1", "1", "V", "ns"]
    found = design.model_of(z)
    np.testing.assert_allclose(found.cells, line.cells, rtol=1e-5)
    np.testing.assert_allclose(found.drive.width, line.drive.width, rtol=1e-4)
    assert float(found.drive.V_SET) == pytest.approx(0.6 * float(found.drive.V_SL))
    assert float(found.transistor.W) == float(line.transistor.W)
    np.testing.assert_allclose(design.free_of(found), z, atol=1e-3)


def test_any_step_stays_inside_the_bounds(design):
    for z in (jnp.full(5, 1e3), jnp.full(5, -1e3), *design.random(jax.random.key(0), 20)):
        values = design.values(z)
        assert np.all((values["cells"] >= 0.5) & (values["cells"] <= 16.0))
        assert 2.0 <= float(values["drive.V_SL"]) <= np.float32(4.8)
    drawn = np.array([design.values(z)["drive.V_SL"] for z in design.random(jax.random.key(1), 300)])
    assert drawn.min() < 2.1 and drawn.max() > 4.7 and drawn.mean() == pytest.approx(3.4, abs=0.2)


def test_what_is_made_lies_on_the_grid(design):
    z = design.free_of(eqx.tree_at(lambda m: m.cells, design.model, jnp.array([3.4, 1.6, 0.55])))
    made = design.made(z)
    np.testing.assert_array_equal(made["cells"], [3.0, 2.0, 1.0])
    assert made["drive.V_SL"] == np.asarray(design.values(z)["drive.V_SL"])
    np.testing.assert_array_equal(design.with_values(made).cells, [3.0, 2.0, 1.0])


def test_gradients_pass_through_a_design_and_its_ties(design):
    def objective(z):
        model = design.model_of(z)
        return jnp.sum(model.cells**2) + model.drive.V_SET * model.drive.V_SL

    z = design.random(jax.random.key(2), 1)[0]
    gradient = np.asarray(jax.grad(objective)(z))
    for place in range(4):
        step = 1e-2 * np.eye(5)[place]
        expected = float(objective(z + step) - objective(z - step)) / 2e-2
        assert gradient[place] == pytest.approx(expected, rel=2e-3, abs=1e-3)
    assert gradient[4] == 0


@pytest.mark.parametrize(
    ("variables", "ties", "told"),
    [
        ([], [], "at least one"),
        ([Variable("drive.V_XX")], [], "drive.V_XX"),
        ([Variable("drive.V_SL"), Variable("drive.V_SL")], [], "once"),
        ([Variable("drive.V_SL", 4.0, 3.0)], [], "lower bound below"),
        ([Variable("drive.V_SL", 0.01, 3.0)], [], "bounded within"),
        ([Variable("drive.V_SL", 3.6, 4.0)], [], "begin inside"),
        ([Variable("drive.V_SL", grid=-0.1)], [], "grid above 0"),
        ([Variable("drive.V_SL", 3.41, 3.58, grid=0.4)], [], "multiple of its grid"),
        ([Variable("drive.V_SL")], [Tie("drive.V_SET", "drive.width")], "follow a free parameter"),
        ([Variable("drive.V_SL")], [Tie("drive.V_SL", "drive.V_SL")], "once"),
        ([Variable("drive.V_SL")], [Tie("drive.V_SET", "drive.V_SL", 0.0)], "not 0"),
        ([Variable("drive.V_SL")], [Tie("cells", "drive.V_SL")], "one shape"),
        ([Variable("drive.V_SL", 2.0, 5.0)], [Tie("drive.V_SET", "drive.V_SL", 2.4)], "bounded within"),
    ],
)
def test_impossible_designs_are_refused_by_name(line, variables, ties, told):
    with pytest.raises(InputError, match=told):
        Design(line, variables, ties)


def test_a_parameter_that_cannot_matter_is_refused(design):
    def refuse(objective):
        require_matter(design, jax.jit(jax.value_and_grad(lambda z: objective(design.model_of(z)))))

    with pytest.raises(InputError, match=r"no slope in drive.width"):
        refuse(lambda m: jnp.sum(m.cells) + m.drive.V_SL)
    with pytest.raises(InputError, match=r"no slope in cells\[0\].*estimator"):
        refuse(lambda m: jnp.sum(jnp.round(m.cells)) + m.drive.V_SL)
    with pytest.raises(InputError, match="finite at the start"):
        refuse(lambda m: jnp.sum(m.cells) + jnp.log(m.drive.V_SL - 4.0) + m.drive.width)


def test_what_follows_stays_inside_its_own_bounds(line):
    design = Design(line, [Variable("drive.V_SL")], [Tie("drive.V_SET", "drive.V_SL", 2.5)])
    assert design.specs["drive.V_SL"].lower == 0.1 and design.specs["drive.V_SL"].upper == 4.0
    falling = Design(line, [Variable("drive.V_SL")], [Tie("drive.V_BL", "drive.V_SL", -0.5)])
    assert falling.specs["drive.V_SL"].lower == 0.1 and falling.specs["drive.V_SL"].upper == 10.0
    highest = design.model_of(jnp.asarray([30.0]))
    assert float(highest.drive.V_SET) == pytest.approx(10.0) and float(highest.drive.V_SL) == pytest.approx(4.0)
