"""Wires of a crossbar against a dense nodal solve of all 2 m n nodes, limits, conservation laws and differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.circuits.read_curve import CubicCurve, SinhCurve
from hfsim.circuits.wires import WireResult, Wires
from hfsim.errors import InputError
from tests.finite_differences import check_parameter_gradients

ROWS, COLUMNS = 5, 7
RNG = np.random.default_rng(4)
G = RNG.uniform(50.0, 5000.0, (ROWS, COLUMNS))
V = RNG.uniform(-0.3, 0.5, (3, ROWS))
PER_LINE = dict(R_drive=RNG.uniform(1, 9, (ROWS, 1)), R_sense=RNG.uniform(1, 9, COLUMNS))
PER_LINE |= dict(r_wl=RNG.uniform(1, 5, (ROWS, 1)), r_bl=RNG.uniform(1, 5, COLUMNS))
CASES = {
    "segments": dict(r_wl=3.0, r_bl=1.5),
    "terminals": dict(r_wl=3.0, r_bl=1.5, R_drive=20.0, R_sense=35.0),
    "driven from both ends": dict(r_wl=3.0, r_bl=1.5, R_drive=5.0, R_sense=2.0, driven="both"),
    "at the other ends": dict(r_wl=3.0, r_bl=1.5, R_drive=20.0, R_sense=35.0, driven="end", sensed="start"),
    "both at both ends": dict(r_wl=4.0, r_bl=2.5, driven="both", sensed="both"),
    "one resistance per line": PER_LINE | dict(driven="both", sensed="both"),
    "heavy lines": dict(r_wl=300.0, r_bl=500.0, R_drive=10.0),
}
cases = pytest.mark.parametrize("case", CASES)


def wires(case="segments", **more):
    return Wires(**(CASES[case] | dict(tolerance=1e-15) | more))


CURRENTS = jax.jit(lambda w, G, V: w.currents(G, V))
BACKWARD = jax.jit(lambda w, G, V: w.backward_currents(G, V))


def nodal(w: Wires, G, V_rows, V_columns=0.0, effective=None):
    """Kirchhoff's current law at each of the 2 m n nodes by a dense solve; curved devices by a plain dense Newton.

    Returns word and bit potentials [V], and the current [uA] out of each row's and into each column's terminals.
    """
    m, n = G.shape
    line = lambda value, shape: np.broadcast_to(np.asarray(value), (m, n)).reshape(m, n)[shape]  # noqa: E731
    r_w, R_d = line(w.r_wl, np.s_[:, 0]), line(w.R_drive, np.s_[:, 0])
    r_b, R_s = line(w.r_bl, np.s_[0, :]), line(w.R_sense, np.s_[0, :])
    V_rows, V_columns = np.broadcast_to(V_rows, m), np.broadcast_to(V_columns, n)
    word, bit = np.arange(m * n).reshape(m, n), m * n + np.arange(m * n).reshape(m, n)
    A, source = np.zeros((2 * m * n, 2 * m * n)), np.zeros(2 * m * n)

    def connect(a, b, g):
        A[a, a] += g
        A[b, b] += g
        A[a, b] -= g
        A[b, a] -= g

    places = {"start": [0], "end": [-1], "both": [0, -1]}
    ends = [(word[i, end], V_rows[i], 1e6 / (r_w[i] + R_d[i]), i, None) for end in places[w.driven] for i in range(m)]
    ends += [
        (bit[end, j], V_columns[j], 1e6 / (r_b[j] + R_s[j]), None, j) for end in places[w.sensed] for j in range(n)
    ]
    for node, potential, g, _, _ in ends:
        A[node, node] += g
        source[node] += g * potential
    for i in range(m):
        for j in range(n):
            if j + 1 < n:
                connect(word[i, j], word[i, j + 1], 1e6 / r_w[i])
            if i + 1 < m:
                connect(bit[i, j], bit[i + 1, j], 1e6 / r_b[j])
    network = A.copy()
    for i in range(m):
        for j in range(n):
            connect(word[i, j], bit[i, j], G[i, j])
    x = np.linalg.solve(A, source)
    bend = jax.jit(lambda U: jax.jvp(effective, (U,), (jnp.ones_like(U),)))
    for _ in range(60 if effective is not None else 0):
        U = x[word] - x[bit]
        current, slope = (G * np.asarray(x) for x in bend(U))
        A, off = network.copy(), network @ x - source
        for i in range(m):
            for j in range(n):
                connect(word[i, j], bit[i, j], slope[i, j])
        np.add.at(off, word.ravel(), current.ravel())
        np.add.at(off, bit.ravel(), -current.ravel())
        x = x - np.linalg.solve(A, off)
    rows, columns = np.zeros(m), np.zeros(n)
    for node, potential, g, i, j in ends:
        if i is None:
            columns[j] += g * (x[node] - potential)
        else:
            rows[i] += g * (potential - x[node])
    return x[word], x[bit], rows, columns


# ------------------------------------------------------------------------------------------------------- values


@cases
def test_it_agrees_with_the_dense_nodal_solve(case, x64):
    w = wires(case)
    solution = w.solve(G, V)
    for k in range(len(V)):
        word, bit, _, columns = nodal(w, G, V[k])
        np.testing.assert_allclose(solution.currents[k], columns, rtol=1e-10)
        np.testing.assert_allclose(solution.word[k], word, atol=1e-12)
        np.testing.assert_allclose(solution.bit[k], bit, atol=1e-12)
    assert solution.currents.shape == (3, COLUMNS) and solution.word.shape == (3, ROWS, COLUMNS)
    assert np.all(solution.result == WireResult.CONVERGED) and np.all(solution.residual < 1e-13)
    np.testing.assert_allclose(CURRENTS(w, G, V), solution.currents, rtol=1e-12)  # jit = eager


@cases
def test_the_backward_product_is_the_same_array_driven_from_its_bit_lines(case, x64):
    w = wires(case)
    V_columns = RNG.uniform(-0.3, 0.5, (2, COLUMNS))
    back = BACKWARD(w, G, V_columns)
    for k in range(2):
        np.testing.assert_allclose(back[k], -nodal(w, G, 0.0, V_columns[k])[2], rtol=1e-10)
    # reciprocity: transfer conductances are the same in both directions
    forward, backward = CURRENTS(w, G, np.eye(ROWS)), BACKWARD(w, G, np.eye(COLUMNS))
    np.testing.assert_allclose(forward, backward.T, rtol=1e-10)
    # but not the transposed array: its cells lie elsewhere on their lines
    other = CURRENTS(w, G.T, np.eye(COLUMNS)) if w.r_wl.ndim == 0 else 0.0
    assert np.max(np.abs(other - backward)) > 1e-3 * np.max(backward)


@pytest.mark.parametrize(
    ("case", "curve"),
    [("segments", SinhCurve(0.15)), ("heavy lines", SinhCurve(0.15)), ("one resistance per line", CubicCurve(0.3))],
    ids=["sinh", "sinh, heavy lines", "cubic, per line"],
)
def test_curved_devices_agree_with_a_dense_newton(case, curve, x64):
    w = wires(case, curve=curve)
    solution = w.solve(G, V)
    for k in range(len(V)):
        word, bit, _, columns = nodal(w, G, V[k], effective=curve.effective)
        np.testing.assert_allclose(solution.currents[k], columns, rtol=1e-9)
        np.testing.assert_allclose(solution.bit[k], bit, atol=1e-11)
    assert np.all(solution.residual < 1e-13) and np.max(solution.iterations) <= 12
    np.testing.assert_allclose(
        BACKWARD(w, G, V[0, 0] * np.ones(COLUMNS)),
        -nodal(w, G, 0.0, V[0, 0], effective=curve.effective)[2],
        rtol=1e-9,
    )


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_exponentials_of_many_scales_are_solved(double):
    # 1 V on devices of V_0 = 0.03 V: e^33 without the wires
    with jax.enable_x64(double):
        solution = Wires(5.0, 5.0, curve=SinhCurve(0.03)).solve(G, 2 * V)
        assert np.all(solution.result == WireResult.CONVERGED) and np.max(solution.iterations) < 40
        assert np.max(solution.residual) < (1e-11 if double else 1e-5)


def test_no_resistance_is_the_plain_product(x64):
    for options in (dict(), dict(driven="both", sensed="both")):
        np.testing.assert_allclose(Wires(0.0, 0.0, **options).currents(G, V), V @ G, rtol=1e-14)
        np.testing.assert_allclose(Wires(0.0, 0.0, **options).first_order(G, V), V @ G, rtol=1e-14)
    curve = CubicCurve(0.3)
    np.testing.assert_allclose(Wires(0.0, 0.0, curve=curve).currents(G, V), curve.effective(V) @ G, rtol=1e-13)


@pytest.mark.parametrize(("r_wl", "r_bl"), [(0.0, 40.0), (40.0, 0.0), (1e-9, 1e-9)])
def test_one_kind_of_line_alone_may_have_resistance(r_wl, r_bl, x64):
    tiny = 1e-7  # the dense solve has no zero resistance
    w = Wires(r_wl, r_bl, tolerance=1e-14)
    dense = nodal(Wires(max(r_wl, tiny), max(r_bl, tiny)), G, V[0])[3]
    np.testing.assert_allclose(w.currents(G, V[0]), dense, rtol=1e-6)


def test_one_cell_is_a_series_of_resistances(x64):
    w = Wires(3.0, 4.0, 5.0, 6.0)
    np.testing.assert_allclose(w.currents([[100.0]], [0.2]), [0.2e6 / (1e4 + 3 + 4 + 5 + 6)], rtol=1e-13)
    both = Wires(3.0, 4.0, 5.0, 6.0, driven="both", sensed="both")
    np.testing.assert_allclose(both.currents([[100.0]], [0.2]), [0.2e6 / (1e4 + 4 + 5)], rtol=1e-13)


def test_superposition(x64):
    w = wires("terminals")
    total = w.currents(G, 2.0 * V[0] - 0.5 * V[1])
    np.testing.assert_allclose(total, 2.0 * w.currents(G, V[0]) - 0.5 * w.currents(G, V[1]), rtol=1e-11)


@pytest.mark.parametrize(
    ("case", "curve"), [("terminals", SinhCurve(0.2)), ("both at both ends", None)], ids=["sinh", "ohmic, both ends"]
)
def test_power_is_balanced(case, curve, x64):
    # what the sources give is what the devices, every segment and every terminal take
    w = wires(case, curve=curve)
    s = w.solve(G, V[0])
    U = s.word - s.bit
    D = G * np.asarray(U if curve is None else curve.effective(U))
    devices = np.sum(D * np.asarray(U))
    g_w, g_b = 1e6 / float(w.r_wl), 1e6 / float(w.r_bl)
    segments = g_w * np.sum(np.diff(np.asarray(s.word), axis=1) ** 2) + g_b * np.sum(
        np.diff(np.asarray(s.bit), axis=0) ** 2
    )
    end_w, end_b = 1e6 / float(w.r_wl + w.R_drive), 1e6 / float(w.r_bl + w.R_sense)
    into = end_w * (V[0][:, None] - np.asarray(s.word)[:, [0, -1]])
    out = end_b * np.asarray(s.bit)[[0, -1]]
    if w.driven == "start":
        into, out = into[:, :1], out[1:]
    ends = np.sum(into**2) / end_w + np.sum(out**2) / end_b
    given = float(np.sum(into.sum(axis=1) * V[0]))
    assert given == pytest.approx(devices + segments + ends, rel=1e-10)
    np.testing.assert_allclose(out.sum(axis=0), s.currents, rtol=1e-10)


def test_rows_and_columns_are_not_swapped(x64):
    # one cell conducts: its path is column + 1 word segments and rows - row bit segments
    for i, j in ((0, 0), (0, COLUMNS - 1), (ROWS - 1, 0), (3, 2)):
        one = np.zeros((ROWS, COLUMNS))
        one[i, j] = 1e3
        I = Wires(10.0, 100.0).currents(one, np.eye(ROWS)[i])
        assert float(I[j]) == pytest.approx(1e6 / (1e3 + 10.0 * (j + 1) + 100.0 * (ROWS - i)), rel=1e-12)
        assert np.all(np.delete(I, j) == 0)


def test_open_devices_and_dead_lines_carry_nothing(x64):
    holes = G * RNG.integers(0, 2, G.shape)
    holes[:, 2] = 0.0
    holes[1] = 0.0
    w = wires("terminals")
    s = w.solve(holes, V)
    np.testing.assert_allclose(s.currents[0], nodal(w, holes, V[0])[3], rtol=1e-10, atol=1e-12)
    assert np.all(s.currents[:, 2] == 0) and np.all(np.isfinite(s.word))
    np.testing.assert_array_equal(w.currents(np.zeros_like(G), V), 0.0)
    np.testing.assert_array_equal(w.currents(G, np.zeros(ROWS)), 0.0)


def test_the_error_of_the_first_order_falls_with_the_square(x64):
    for curve in (None, SinhCurve(0.3)):

        def error(r, curve=curve):
            w = Wires(r, 2 * r, r, r, curve=curve, tolerance=1e-15)
            return np.max(np.abs(w.first_order(G, V) - w.currents(G, V)))

        assert error(1e-2) / error(5e-3) == pytest.approx(4.0, rel=0.05)
        assert error(1.0) < 0.1 * np.max(np.abs(Wires(1.0, 2.0).currents(G, V) - V @ G))


# ------------------------------------------------------------------------------------------------------ precision


def hard(n=128):
    """As many segments times conductance as 512 lines of 100 uS at 0.35 ohm have: r G n^2 is the same."""
    return np.random.default_rng(1).uniform(60, 140, (n, n)), 0.35 * (512 / n) ** 2


def test_single_precision_is_as_good_as_double():
    conductances, r = hard()
    drive = np.random.default_rng(2).uniform(-0.2, 0.2, (3, 128))
    I = Wires(r, r).solve(conductances.astype(np.float32), drive.astype(np.float32))
    assert I.currents.dtype == jnp.float32
    with jax.enable_x64(True):
        exact = np.asarray(Wires(r, r).currents(conductances.astype(np.float32).astype(float), np.float32(drive)))
    assert np.max(np.abs(np.asarray(I.currents) - exact)) < 1e-5 * np.max(np.abs(exact))
    assert np.max(I.residual) < 1e-5 and np.max(I.iterations) <= 8


def test_single_precision_stays_single_under_x64(x64):
    w = Wires(1.0, 1.0, curve=SinhCurve(0.5))
    I, gradient = jax.value_and_grad(lambda g: jnp.sum(w.currents(g, jnp.float32(V[0]))))(jnp.float32(G))
    assert I.dtype == gradient.dtype == jnp.float32


def test_faint_inputs_and_adjoints_keep_their_digits():
    # 1e-20 V squared is below float32's range
    w = Wires(30.0, 30.0)
    g, v = jnp.float32(G), jnp.float32(V)
    np.testing.assert_allclose(w.currents(g, v * 1e-20), 1e-20 * w.currents(g, v), rtol=2e-5)
    pull = jax.vjp(lambda g: w.currents(g, v), g)[1]
    np.testing.assert_allclose(
        pull(jnp.full((3, COLUMNS), 1e-20))[0] * 1e20, pull(jnp.ones((3, COLUMNS)))[0], rtol=1e-4
    )


# ---------------------------------------------------------------------------------------------------- derivatives


def difference(f, x, direction, step=1e-4):
    """Central differences of two steps, extrapolated."""
    at = lambda h: (f(x + h * direction) - f(x - h * direction)) / (2 * h)  # noqa: E731
    return (4 * at(step) - at(2 * step)) / 3


WEIGHT = RNG.normal(size=(3, COLUMNS))


@jax.jit
def loss(w, G, V):
    return jnp.sum(WEIGHT * w.currents(G, V) ** 2) * 1e-3


GRADIENT = jax.jit(jax.grad(loss, argnums=(1, 2)))


@pytest.mark.parametrize("curved", [False, True], ids=["ohmic", "sinh"])
def test_gradients_agree_with_differences(curved, x64):
    w = wires("terminals", curve=SinhCurve(0.3) if curved else None)
    check_parameter_gradients(w, lambda w: loss(w, G, V), tolerance=1e-6, step=1e-4)
    got = GRADIENT(w, G, V)
    for index, x in enumerate((G, V)):
        direction = x * RNG.choice([-1.0, 1.0], x.shape)
        f = lambda y, index=index: float(loss(w, *((y, V) if index == 0 else (G, y))))  # noqa: E731
        assert np.sum(got[index] * direction) == pytest.approx(difference(f, x, direction), rel=1e-6)


def test_resistances_per_line_have_gradients_per_line(x64):
    w = wires("one resistance per line")
    gradients = check_parameter_gradients(w, lambda w: loss(w, G, V), tolerance=1e-6, step=1e-4)
    assert [g.shape for g in gradients] == [(ROWS, 1), (COLUMNS,), (ROWS, 1), (COLUMNS,)]


@pytest.mark.parametrize(
    ("ends", "curved"),
    [(dict(), True), (dict(driven="both", sensed="both"), False)],
    ids=["sinh", "ohmic, both ends"],
)
def test_the_gradient_is_right_at_no_resistance(ends, curved, x64):
    curve = SinhCurve(0.3) if curved else None
    make = lambda r_wl=0.0, r_bl=0.0: Wires(r_wl, r_bl, curve=curve, tolerance=1e-15, **ends)  # noqa: E731
    slopes = jax.jit(jax.grad(loss))(make(), G, V)
    for name in ("r_wl", "r_bl"):
        f = lambda r, name=name: float(loss(make(**{name: r}), G, V))  # noqa: E731
        h = 1e-3  # one-sided, to third order
        expected = (-11 * f(0.0) + 18 * f(h) - 9 * f(2 * h) + 2 * f(3 * h)) / (6 * h)
        assert float(getattr(slopes, name)) == pytest.approx(expected, rel=1e-6)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(slopes))
    if not ends:  # a terminal at both ends, with no wire between them, has two answers
        f = lambda R: float(loss(dataclasses.replace(make(), R_drive=R), G, V))  # noqa: E731
        expected = (-11 * f(0.0) + 18 * f(h) - 9 * f(2 * h) + 2 * f(3 * h)) / (6 * h)
        assert float(slopes.R_drive) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("method", "curved"), [("currents", True), ("backward_currents", False)], ids=["forward, sinh", "backward, ohmic"]
)
def test_forward_and_reverse_mode_agree(method, curved, x64):
    w = wires("driven from both ends", curve=SinhCurve(0.3) if curved else None)
    drive = V[0] if method == "currents" else WEIGHT[0]
    f = lambda w, G, V: getattr(w, method)(G, V)  # noqa: E731
    arguments = (w, jnp.asarray(G), jnp.asarray(drive))
    direction = jax.tree.map(lambda x: jnp.asarray(RNG.normal(size=x.shape)), arguments)
    out, tangent = jax.jit(lambda a, t: jax.jvp(f, a, t))(arguments, direction)
    weight = jnp.asarray(RNG.normal(size=out.shape))
    back = jax.jit(lambda a, w: jax.vjp(f, *a)[1](w))(arguments, weight)
    paired = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(direction), strict=True))
    assert float(jnp.vdot(weight, tangent)) == pytest.approx(float(paired), rel=1e-10)


def test_potentials_and_second_derivatives(x64):
    w = wires("terminals", curve=SinhCurve(0.3))

    def lowest(scale):
        return jnp.sum(w.solve(G * scale, V[0]).word ** 2)

    slope = jax.jit(jax.grad(lowest))
    assert float(slope(1.0)) == pytest.approx(difference(lambda s: float(lowest(s)), 1.0, 1.0), rel=1e-6)
    curvature = jax.jit(lambda s: jax.jvp(slope, (s,), (1.0,))[1])(1.0)
    assert float(curvature) == pytest.approx(difference(lambda s: float(slope(s)), 1.0, 1.0), rel=1e-6)


# ------------------------------------------------------------------------------------------- batches, chips, refusals


def test_any_batch_is_the_single_inputs(x64):
    w = wires("terminals")
    many = RNG.uniform(-0.3, 0.3, (3, 7, ROWS))  # 21 inputs: chunks of 8, the last of them padded
    together = w.currents(G, many)
    assert together.shape == (3, 7, COLUMNS)
    np.testing.assert_allclose(together[2, 5], CURRENTS(w, G, many[2, 5]), rtol=1e-12)
    s = w.solve(G, many)
    assert s.word.shape == (3, 7, ROWS, COLUMNS) and s.result.shape == s.residual.shape == s.iterations.shape == (3, 7)
    np.testing.assert_allclose(s.bit[0, 6], w.solve(G, many[0, 6]).bit, atol=1e-13)
    assert w.currents(G, np.zeros((0, ROWS))).shape == (0, COLUMNS)


def test_chips_are_mapped(x64):
    w = wires("terminals")
    chips = jnp.stack([G, 2 * G, 0 * G, G[::-1]])
    mapped = jax.jit(jax.vmap(lambda g: w.currents(g, V)))(chips)
    np.testing.assert_allclose(mapped, [CURRENTS(w, g, V) for g in chips], rtol=1e-12)
    slopes = jax.jit(jax.vmap(jax.grad(loss, argnums=1), (None, 0, None)))(w, chips, V)
    np.testing.assert_allclose(slopes[1], GRADIENT(w, chips[1], V)[0], rtol=1e-9)
    resistances = jnp.array([0.0, 1.0, 30.0])
    by_wire = jax.vmap(lambda r: dataclasses.replace(w, r_wl=r).currents(G, V))(resistances)
    np.testing.assert_allclose(by_wire[2], dataclasses.replace(w, r_wl=30.0).currents(G, V), rtol=1e-12)


def test_running_out_of_iterations_has_a_code():
    w = Wires(500.0, 500.0, iterations=1)
    s = w.solve(G, V, throw=False)
    assert np.all(s.result == WireResult.ITERATIONS) and np.all(np.isfinite(s.currents)) and np.all(s.iterations == 1)
    assert np.all(s.residual > 1e-5)
    for call in (w.solve, w.currents):
        with pytest.raises(InputError, match="`iterations` must let .* converge, but was 1: .* ran out"):
            call(G, V)
    assert np.all(np.isfinite(CURRENTS(w, G, V)))  # inside jit the code is what says so
    curved = Wires(500.0, 500.0, iterations=1, curve=SinhCurve(0.1))
    assert np.all(curved.solve(G, V, throw=False).result == WireResult.ITERATIONS)


def test_what_is_not_finite_has_a_code():
    bad = G.copy()
    bad[2, 3] = np.nan
    assert np.all(Wires(1.0, 1.0).solve(bad, V, throw=False).result == WireResult.NOT_FINITE)
    with pytest.raises(InputError, match="not finite"):
        Wires(1.0, 1.0).currents(bad, V)
    assert all(code.explain() for code in WireResult)


def test_what_single_precision_cannot_hold_is_called_inaccurate():
    # 512 cells of 10 kohm behind segments of 1 kohm: potentials fall by e^160, and a far cell's is rounding of V - drop
    line, one = np.full((1, 512), 100.0), np.ones(1)
    assert int(Wires(1e3, 0.0).solve(line, one, throw=False).result) == WireResult.INACCURATE
    with pytest.raises(InputError, match="use float64"):
        Wires(1e3, 0.0).solve(line, one)


@pytest.mark.parametrize("curved", [False, True], ids=["ohmic", "sinh"])
def test_nothing_is_nan_at_the_corners_of_the_bounds(curved):
    # every line floating has no answer in single precision, but a code, and finite numbers
    both = jax.jit(jax.value_and_grad(lambda w, G, V: jnp.sum(w.currents(G, V)), argnums=(0, 1, 2)))
    for r in (0.0, 1e6):
        for R in (0.0, 1e12):
            w = Wires(r, r, R, R, curve=SinhCurve(0.01) if curved else None)
            leaves = jax.tree.leaves(both(w, jnp.float32(G).at[1, 1].set(0.0), 40 * jnp.float32(V)))
            assert all(np.all(np.isfinite(leaf)) for leaf in leaves), (r, R)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Wires(-1.0, 1.0), "Wires.r_wl"),
        (lambda: Wires(1.0, 1.0, driven="left"), "driven"),
        (lambda: Wires(1.0, 1.0, sensed="bottom"), "sensed"),
        (lambda: Wires(1.0, 1.0, curve=0.3), "curve"),
        (lambda: Wires(1.0, 1.0, iterations=0), "iterations"),
        (lambda: Wires(1.0, 1.0, tolerance=0.0), "tolerance"),
        (lambda: Wires(1.0, 1.0).currents(G, V[:, :-1]), r"`V` must have one voltage per row, shape \(\*batch, 5\)"),
        (lambda: Wires(1.0, 1.0).backward_currents(G, V), "one voltage per column"),
        (lambda: Wires(1.0, 1.0).currents(G[0], V), "`G` must have shape"),
        (lambda: Wires(1.0, 1.0).currents(-G, V), "`G` must be no less than 0"),
        (
            lambda: Wires(1.0, 1.0, R_drive=np.ones(ROWS)).currents(G, V),
            r"R_drive` must be a scalar or of shape \(5, 1",
        ),
        (lambda: Wires(1.0, 1.0, R_sense=np.ones(3)).currents(G, V), r"R_sense` must be a scalar or of shape \(7,\)"),
    ],
)
def test_wrong_input_is_refused_by_name(build, message):
    with pytest.raises(InputError, match=message):
        build()
