"""The wires of a crossbar: currents of an array whose lines have resistance, exact and differentiable.

Cell (i, j) of conductance G_ij hangs between word line i, driven at V_i beside column 0, and bit line j, sensed at
virtual ground behind the last row. There is a segment r_wl between a driver and the first cell and between
neighbours, a segment r_bl between neighbours and between the last cell and the sensed end; drivers and sensed ends
may have resistances of their own, and lie at the other ends, or at both (`driven`, `sensed`). With U the voltage
across the cells and D = G f(U) the currents through them

    U = V - R_w D - R_b D,          I_j = sum_i D_ij

where R_w and R_b, the resistance matrices of the lines, are pairs of running sums: r = 0 is no special case and no
large conductance cancels. With the word lines eliminated exactly, Y_w = G (1 + R_w G)^-1 (a ladder, see
`wire_lines`), the rest is (1 + Y_w R_b) c = Y_w V, positive definite in the inner product of R_b, and conjugate
gradients solve it, preconditioned by the bit lines on their own, (1 + G R_b)^-1, again a ladder. An iteration is two
sweeps along each line; at 0.35 ohm float32 takes 2 of them on 128 x 128 cells of 9-88 uS, 4 on 512 x 512, 5 on 512 x
512 of 100 uS. Curved devices take Newton's method around it. The derivative is implicit: one more linear solve, in
either mode, of any order.

Kirchhoff's laws, as in badcrossbar (Joksas and Mehonic, SoftwareX 12, 100617 (2020)), whose geometry this is.
"""

import enum
from functools import partial
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, Int

from hfsim.circuits.read_curve import AbstractReadCurve
from hfsim.circuits.wire_lines import Lines, Network
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter

MEGOHM = 1e-6
"""1 ohm in Mohm: with V, uA and uS resistances count in Mohm."""
SHORTEST = 1e-6
"""Of a Newton step: shorter ones are no longer halved."""
ENDS = ("start", "end", "both")
"""Of a word line: beside column 0 and behind the last one; of a bit line: before row 0 and behind the last one."""
CHUNK = 8
"""Inputs solved together: one vector register of them, and few enough for the cache."""


class WireResult(enum.IntEnum):
    """How a solution ended."""

    CONVERGED = 0
    ITERATIONS = 1
    INACCURATE = 2
    NOT_FINITE = 3

    def explain(self) -> str:
        """What it means and what to do."""
        return {
            WireResult.CONVERGED: "the network is solved to its tolerance",
            WireResult.ITERATIONS: "the iterations ran out: allow more `iterations` or a larger `tolerance`",
            WireResult.INACCURATE: "the iterations ended but the residual is large: use float64",
            WireResult.NOT_FINITE: "not finite: look for NaN, infinity or huge values in conductances and voltages",
        }[self]


class WireSolution(eqx.Module):
    """Currents and node potentials of an array, batch leading."""

    currents: Float[Array, "*batch lines"]
    word: Float[Array, "*batch rows columns"]
    bit: Float[Array, "*batch rows columns"]
    result: Int[Array, "*batch"]
    residual: Float[Array, "*batch"]
    iterations: Int[Array, "*batch"]


class Wires(PhysicalModel):
    """Resistances of an array's lines and terminals; a resistance is a scalar or one number per line.

    Per line: r_wl and R_drive of shape (rows, 1), r_bl and R_sense of shape (columns,): they broadcast over the
    cells. A line that is left floating has a terminal of, say, 1e9 ohm.
    """

    r_wl: Float[Array, "..."] = parameter(unit="ohm", bounds=(0.0, 1e6), doc="segment of a word line")
    r_bl: Float[Array, "..."] = parameter(unit="ohm", bounds=(0.0, 1e6), doc="segment of a bit line")
    R_drive: Float[Array, "..."] = parameter(
        unit="ohm", bounds=(0.0, 1e12), default=0.0, doc="resistance of a word line's driver"
    )
    R_sense: Float[Array, "..."] = parameter(
        unit="ohm", bounds=(0.0, 1e12), default=0.0, doc="resistance of a bit line's sensed end"
    )
    curve: AbstractReadCurve | None = None
    driven: Literal["start", "end", "both"] = eqx.field(static=True, default="start")
    sensed: Literal["start", "end", "both"] = eqx.field(static=True, default="end")
    tolerance: float | None = eqx.field(static=True, default=None)
    iterations: int = eqx.field(static=True, default=200)

    def __check_init__(self):
        for name in ("driven", "sensed"):
            if getattr(self, name) not in ENDS:
                raise InputError(name, f"be one of {', '.join(ENDS)}", repr(getattr(self, name)))
        if self.curve is not None and not isinstance(self.curve, AbstractReadCurve):
            raise InputError("curve", "be a read curve or None for ohmic devices", repr(self.curve))
        if not isinstance(self.iterations, int) or self.iterations < 1:
            raise InputError("iterations", "be an integer >= 1", repr(self.iterations))
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise InputError("tolerance", "lie between 0 and 1, or be None", repr(self.tolerance))

    # ------------------------------------------------------------------------------------------ what users call

    def currents(
        self, G: Float[Array, "rows columns"], V: Float[Array, "*batch rows"]
    ) -> Float[Array, "*batch columns"]:
        """Currents [uA] into the sensed ends of the bit lines, word lines driven at V [V].

        Differentiable in G [uS], V and every parameter. Outside jit an unfinished solution raises.
        """
        return self._currents(G, V, 0)

    def backward_currents(
        self, G: Float[Array, "rows columns"], V: Float[Array, "*batch columns"]
    ) -> Float[Array, "*batch rows"]:
        """The transposed product on the same wires: bit lines driven at their sensed ends, word lines sensed.

        Currents [uA] out of the word lines' drivers, which are at virtual ground; terminals keep their resistances.
        """
        return self._currents(G, V, 1)

    def solve(self, G, V, *, backward: bool = False, throw: bool = True) -> WireSolution:
        """As `currents`, with all node potentials [V], a result code, and a residual that is computed anew.

        `backward` drives the bit lines and senses the word lines, as `backward_currents` does.

        The residual is the largest violation of U = V - R_w D - R_b D, relative to max |V| + R_w |D| + R_b |D|: what
        share of them the given resistances and conductances would have to move for the solution to be exact.

        Raises:
            InputError: outside jit, with `throw`, where an input's code is not CONVERGED.
        """
        side = int(backward)
        G, V, batch = self._checked(G, V, side)
        I, driven, sensed, residual, count, left = (_unflat(x, batch) for x in _solution(self, G, V, side))
        tolerance, rounding = self._tolerance(V.dtype), float(jnp.finfo(V.dtype).eps)
        accurate = residual <= max(10 * tolerance, 1e3 * rounding)
        code = jnp.where(left <= tolerance, WireResult.CONVERGED, WireResult.ITERATIONS)
        code = jnp.where((code == WireResult.CONVERGED) & ~accurate, WireResult.INACCURATE, code)
        finite = jnp.isfinite(residual) & jnp.all(jnp.isfinite(I), axis=-1)
        result = jnp.where(finite, code, WireResult.NOT_FINITE)
        if throw and result.size and not isinstance(result, Tracer):
            _raise_unless_converged(WireResult(int(jnp.max(result))), self)
        word, bit = (sensed, driven) if backward else (driven, sensed)
        return WireSolution(I, word, bit, result, residual, count.astype(int))

    def first_order(self, G, V) -> Float[Array, "*batch columns"]:
        """Currents [uA] to first order in the resistances, at the price of an ideal product for ohmic devices.

        Curved devices: I = G f(U) with U = V - R D/(1 + R G f'), D = G f(V), R = R_w + R_b.
        """
        G, V, batch = self._checked(G, V, 0)
        if self.curve is None:
            I = jnp.matmul(V, self.first_order_conductance(G), precision=jax.lax.Precision.HIGHEST)
            return I.reshape(*batch, -1)
        return _unflat(_curved_first_order(self, G, V), batch)

    def first_order_conductance(self, G: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
        """G/(1 + R_w G + R_b G) [uS]: V times this matrix is the current to first order, whatever V is.

        To first order the same as one Neumann term, G (1 - R_w G - R_b G), with a tenth of its error: the quotient
        stays positive where the difference changes sign.
        """
        return G / (1 + self._drop(G[:, :, None])[..., 0])

    def share(self, G: Float[Array, "rows columns"], *, backward: bool = False) -> Float[Array, "rows columns"]:
        """How much of a small extra current through each cell arrives at its own sensed line's end, to first order.

        1/(1 + G R_w,jj + sum_i' R_b,ii' G_i'j): by reciprocity, the voltage over the cell where that end is driven with
        1 V and all others are at ground. `backward` where word lines are sensed. Ohmic devices.
        """
        G, _, _ = self._checked(G, jnp.zeros_like(G[:, 0]), 0)
        word, bit = self._lines(G.shape, G.dtype)
        word_drop, bit_drop = (drop[..., 0] for drop in self._drops(G[:, :, None]))
        if backward:
            return 1 / (1 + word_drop + bit.own(G.shape[0])[..., 0] * G)
        return 1 / (1 + bit_drop + word.own(G.shape[1])[..., 0].T * G)

    # ------------------------------------------------------------------------------------------------- inside

    def _currents(self, G, V, side: int):
        G, V, batch = self._checked(G, V, side)
        I, left = (_unflat(x, batch) for x in _line_currents(self, G, V, side))
        if not isinstance(left, Tracer):
            ended = WireResult.CONVERGED if bool(jnp.all(left <= self._tolerance(V.dtype))) else WireResult.ITERATIONS
            _raise_unless_converged(ended if bool(jnp.all(jnp.isfinite(I))) else WireResult.NOT_FINITE, self)
        return I

    def _checked(self, G, V, side: int):
        G, V = jnp.asarray(G), jnp.asarray(V)
        dtype = jnp.result_type(G, V)
        dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.result_type(float)
        if G.ndim != 2:
            raise InputError("G", "have shape (rows, columns)", f"of shape {G.shape}", "map over chips with jax.vmap")
        if V.ndim < 1 or V.shape[-1] != G.shape[side]:
            line = ("row", "column")[side]
            raise InputError(
                "V", f"have one voltage per {line}, shape (*batch, {G.shape[side]})", f"of shape {V.shape}"
            )
        if not isinstance(G, Tracer) and np.any(np.asarray(G) < 0):
            raise InputError("G", "be no less than 0 everywhere", f"{float(jnp.min(G)):g}", "0 is an open device")
        return G.astype(dtype), V.astype(dtype).reshape(-1, V.shape[-1]), V.shape[:-1]

    def _tolerance(self, dtype) -> float:
        if self.tolerance is not None:
            return self.tolerance
        return 1e-5 if jnp.finfo(dtype).eps > 1e-10 else 1e-12

    def _effective(self, U):
        if self.curve is None:
            return U
        return jax.vmap(self.curve.effective, in_axes=-1, out_axes=-1)(U).astype(U.dtype)

    def _voltage(self, y):
        assert self.curve is not None
        return jax.vmap(self.curve.voltage, in_axes=-1, out_axes=-1)(y).astype(y.dtype)

    def _slope(self, U):
        """f'(U), of inputs' size 1 for ohmic devices."""
        if self.curve is None:
            return jnp.ones_like(U[..., :1])
        return jax.jvp(self._effective, (U,), (jnp.ones_like(U),))[1]

    def _lines(self, shape, dtype) -> tuple[Lines, Lines]:
        rows, columns = shape[:2]

        def of(name, lines, allowed):
            value = getattr(self, name)
            if value.ndim and value.shape not in allowed:
                raise InputError(f"Wires.{name}", f"be a scalar or of shape {allowed[0]}", f"of shape {value.shape}")
            return (value * MEGOHM).astype(dtype).reshape((lines, 1) if value.ndim else ())

        row, column = (rows, [(rows, 1)]), (columns, [(columns,), (1, columns)])
        word = Lines(of("r_wl", *row), of("R_drive", *row), self.driven != "end", self.driven == "both")
        bit = Lines(of("r_bl", *column), of("R_sense", *column), self.sensed == "start", self.sensed == "both")
        return word, bit

    def _drops(self, D):
        """Voltages [V] that cell currents D (rows, columns, inputs) drop on word and on bit lines."""
        word, bit = self._lines(D.shape, D.dtype)
        return jnp.swapaxes(word.drops(jnp.swapaxes(D, 0, 1)), 0, 1), bit.drops(D)

    def _drop(self, D):
        """Both together."""
        word, bit = self._drops(D)
        return word + bit


# ---------------------------------------------------------------------------- compiled once for each shape of array


@partial(jax.jit, static_argnames="side")
def _line_currents(wires: Wires, G, V, side: int):
    """Currents of the sensed lines and the share of the first residual that is left."""

    def one(drive):
        D, _, _, left = _cells(wires, G, drive[:, None, :] if side == 0 else drive[None, :, :])
        return jnp.sum(D, axis=side), left

    return _in_chunks(one, V)


@partial(jax.jit, static_argnames="side")
def _solution(wires: Wires, G, V, side: int):
    def one(drive):
        drive = drive[:, None, :] if side == 0 else drive[None, :, :]
        D, U, count, left = _cells(wires, G, drive)
        drops = wires._drops(D)
        driven, sensed = drops if side == 0 else drops[::-1]
        most = jnp.maximum(jnp.max(jnp.abs(drive), axis=(0, 1)), jnp.finfo(drive.dtype).tiny)
        violation = jnp.abs(U + driven + sensed - drive) / (most + wires._drop(jnp.abs(D)))
        residual = jnp.max(jax.lax.stop_gradient(violation), axis=(0, 1))
        return jnp.sum(D, axis=side), drive - driven, sensed, residual, count, left

    return _in_chunks(one, V)


@jax.jit
def _curved_first_order(wires: Wires, G, V):
    def one(drive):
        U = jnp.broadcast_to(drive[:, None, :], (*G.shape, drive.shape[-1]))
        drop, slope = (wires._drop(G[:, :, None] * x) for x in (wires._effective(U), wires._slope(U)))
        return jnp.sum(G[:, :, None] * wires._effective(U - drop / (1 + slope)), axis=0)

    return _in_chunks(one, V)


def _in_chunks(function, V):
    """Map `function` of drives (lines, CHUNK) over the inputs, padded with zeros to whole chunks: (inputs, ...)."""
    count, lines = V.shape
    if count <= CHUNK:
        return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), function(V.T))
    padded = jnp.pad(V, ((0, -count % CHUNK), (0, 0)))
    out = jax.lax.map(function, jnp.swapaxes(padded.reshape(-1, CHUNK, lines), 1, 2))
    return jax.tree.map(lambda x: jnp.moveaxis(x, -1, 1).reshape(padded.shape[0], *x.shape[1:-1])[:count], out)


def _unflat(x, batch):
    """(inputs, ...) to (*batch, ...)."""
    return x.reshape(*batch, *x.shape[1:])


# ------------------------------------------------------------------------------------------------- the solution


@jax.custom_jvp
def _cells(wires: Wires, G, emf):
    """Currents D and voltages U of the cells (rows, columns, inputs); iterations and residual of each input."""
    emf = jnp.broadcast_to(emf, (*G.shape, emf.shape[-1]))
    if wires.curve is not None:
        return _newton(wires, G, emf)
    G = G[:, :, None]
    drop, count, residual = _linear_drop(wires, G, G * emf)
    return G * (emf - drop), emf - drop, count, residual


@partial(_cells.defjvp, symbolic_zeros=True)
def _cells_jvp(primals, tangents):
    """(1 + Gamma R) dD = Gamma (dV - dR D) + dG f(U) + G df(U), with Gamma = G f'(U)."""
    wires, G, emf = primals
    D, U, count, residual = _cells(wires, G, emf)
    moved_wires, moved_G, moved_emf = tangents
    gamma = G[:, :, None] * wires._slope(U)
    raised = jnp.zeros_like(U) if _still(moved_emf) else jnp.broadcast_to(moved_emf, U.shape)
    if not _still(moved_wires):
        moved_wires = jax.tree.map(lambda t: jnp.zeros(t.shape, t.dtype) if _still(t) else t, moved_wires)
        raised = raised - jax.jvp(lambda w: w._drop(D), (wires,), (moved_wires,))[1]
    rhs = gamma * raised
    if not _still(moved_wires) and wires.curve is not None:
        rhs = rhs + G[:, :, None] * jax.jvp(lambda w: w._effective(U), (wires,), (moved_wires,))[1]
    if not _still(moved_G):
        rhs = rhs + moved_G[:, :, None] * wires._effective(U)
    fixed, conductance = jax.lax.stop_gradient((wires, gamma))

    def matvec(x):
        return x + gamma * wires._drop(x)

    def solve(_, j):
        return j - conductance * _linear_drop(fixed, conductance, j)[0]

    def transpose_solve(_, x):
        return x - _linear_drop(fixed, conductance, conductance * x)[0]

    dD = jax.lax.custom_linear_solve(matvec, rhs, solve, transpose_solve)
    return (D, U, count, residual), (dD, raised - wires._drop(dD), jnp.zeros_like(count), jnp.zeros_like(residual))


def _still(tangent) -> bool:
    """Whether all of a tangent is known to be zero."""
    return all(isinstance(leaf, SymbolicZero) for leaf in jax.tree.leaves(tangent, is_leaf=_is_zero))


def _is_zero(leaf) -> bool:
    return isinstance(leaf, SymbolicZero)


def _linear_drop(wires: Wires, G, j):
    """What short-circuit currents j of the cells drop on both lines, iterations, residual."""
    network = Network.of(G, *wires._lines(G.shape, G.dtype))
    return network.drop(j, wires._tolerance(G.dtype), wires.iterations)


def _newton(wires: Wires, G, emf):
    """Newton's method in the cells' currents, from the ohmic ones: D = G y, H = f^-1(y) + R D - V = 0.

    In the currents a steep device is a flat, concave f^-1, which Newton's method climbs from below; in the voltages it
    would overshoot by e^(U/V_0). A step is halved until the residual falls, and an input rests once the voltages' step
    is within tolerance.
    """
    G = G[:, :, None]
    size = jnp.maximum(jnp.max(jnp.abs(emf), axis=(0, 1)), jnp.finfo(emf.dtype).tiny)
    tolerance = wires._tolerance(emf.dtype)

    def relative(x):
        return jnp.max(jnp.abs(x), axis=(0, 1)) / size

    def state(y):
        U = wires._voltage(y)
        return y, U, U + wires._drop(G * y) - emf

    def more(carry):
        count, _, step, falling = carry
        return (count < wires.iterations) & jnp.any((step > tolerance) & falling)

    def iterate(carry):
        count, (y, U, H), _, _ = carry
        slope = wires._slope(U)
        gamma = G * slope
        step = _linear_drop(wires, gamma, gamma * H)[0] - H

        def too_long(carry):
            length, (_, _, off) = carry
            return jnp.any((relative(off) > (1 - 0.1 * length) * relative(H)) & (length > SHORTEST))

        def halve(carry):
            length, (_, _, off) = carry
            bad = relative(off) > (1 - 0.1 * length) * relative(H)
            length = jnp.where(bad, 0.5 * length, length)
            return length, state(y + length * slope * step)

        start = (jnp.ones_like(size), state(y + slope * step))
        _, trial = jax.lax.while_loop(too_long, halve, start)
        falling = relative(trial[2]) < relative(H)
        new = jax.tree.map(lambda a, b: jnp.where(falling, a, b), trial, (y, U, H))
        return count + 1, new, relative(step), falling

    ohmic = emf - _linear_drop(wires, G, G * emf)[0]
    carry = (jnp.zeros((), int), state(ohmic), jnp.ones_like(size), jnp.ones(size.shape, bool))
    count, (y, U, _), step, _ = jax.lax.while_loop(more, iterate, carry)
    return G * y, U, jnp.full_like(size, count), step


def _raise_unless_converged(result: WireResult, wires: Wires) -> None:
    if result != WireResult.CONVERGED:
        raise InputError("iterations", "let the wires' solution converge", f"{wires.iterations}", result.explain())
