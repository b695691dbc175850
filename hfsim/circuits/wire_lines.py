"""Resistive lines of equal segments: what a current injected at each node does to the potentials along them.

A line has n nodes, a segment of resistance r between neighbours, and a terminal behind its last node (or behind both
ends): a segment r and then the terminal's own resistance, to ground. Two operators act on it:

    R D            potentials that the injected currents D make:    running sums, R_jk = r min(j, k) + R_terminal
    (1/R + G)^-1 j potentials where each node also has a conductance G to ground: a ladder, swept twice

Both are written with resistances instead of conductances, so that r = 0 needs no special case; the ladder adds
positive numbers alone, s <- G + s/(1 + r s), where the usual elimination loses its digits to 2/r + G - ... (in
float32 8e-3 on 512 nodes). Arrays have the position along the line first, then the lines, then the inputs. Units: V,
uA, uS, Mohm.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LEAST_TERMINAL = 1e-12
"""What a second terminal of no resistance counts as [Mohm]: it would be an infinite conductance."""


class Lines(eqx.Module):
    """Equal lines side by side.

    `r` and `terminal` [Mohm] are scalars or (lines, 1); the terminal lies behind the last position, or behind
    position 0 with `reverse`; with `both` also at the other end.
    """

    r: Float[Array, "..."]
    terminal: Float[Array, "..."]
    reverse: bool = eqx.field(static=True)
    both: bool = eqx.field(static=True)

    def drops(self, D: Float[Array, "positions lines inputs"]) -> Float[Array, "positions lines inputs"]:
        """R D [V], for currents D [uA] injected into the nodes, ends grounded."""
        total, b = _running_sums(D, self.reverse)
        b = self.r * b + self.terminal * total
        if not self.both:
            return b
        # a second terminal at the open end takes what makes that end's potential come out right
        share, first = self._shares(D.shape[0]), b[-1 if self.reverse else 0]
        return b - share * first

    def own(self, count: int) -> Float[Array, "positions #lines 1"]:
        """Resistance [Mohm] from each of `count` nodes to ground, by whatever ends are grounded: the diagonal of R."""
        path = self.r * self._ahead(count) + self.terminal
        return path * (1 - self._shares(count)) if self.both else path

    def _ahead(self, count: int):
        """Segments from each node to the first terminal."""
        ahead = jnp.arange(count, 0, -1, dtype=self.r.dtype)
        return (ahead[::-1] if self.reverse else ahead)[:, None, None]

    def _shares(self, count: int):
        """Resistance from each node to the first terminal, as a share of the whole line with both its terminals."""
        ahead = self._ahead(count)
        path, whole = self.r * ahead + self.terminal, self.r * (count + 1) + 2 * self.terminal
        # a line of no resistance drops nothing, whatever the shares; these are their limit for r -> 0
        return jnp.where(whole > 0, path / jnp.where(whole > 0, whole, 1.0), ahead / (count + 1))

    def ladder(self, G: Float[Array, "positions lines #inputs"]) -> "Ladder":
        """The factors of 1/R + G, for conductances G [uS] from the nodes to ground."""
        r = jnp.broadcast_to(self.r, G.shape[1:])
        end = jnp.broadcast_to(self.r + self.terminal, G.shape[1:])
        behind = 1 / jnp.maximum(end, LEAST_TERMINAL) if self.both else jnp.zeros_like(end)
        first = 0 if self.reverse else G.shape[0] - 1

        def step(behind, inputs):
            G, position = inputs
            s = G + behind
            onward = jnp.where(position == first, end, r)
            d = 1 / (1 + onward * s)
            return s * d, (d, onward * d)

        _, (d, rd) = jax.lax.scan(step, behind, (G, jnp.arange(G.shape[0])), reverse=self.reverse)
        return Ladder(d, rd, self.reverse)


def _at(x, i):
    return jax.lax.dynamic_index_in_dim(x, i, 0, keepdims=False)


def _across(x, i):
    return jax.lax.dynamic_index_in_dim(x, i, 1, keepdims=False)


def _put(x, slab, i):
    return jax.lax.dynamic_update_index_in_dim(x, slab, i, 0)


def _sweep(step, state, count: int, upwards: bool):
    return jax.lax.fori_loop(0, count, lambda k, s: step(k if upwards else count - 1 - k, s), state)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _running_sums(D, reverse: bool):
    """Sum of D along a line, and min(j, k) D counted from its terminal: sums towards the terminal, summed back."""

    def collect(i, state):
        J, sums = state
        J = J + _at(D, i)
        return J, _put(sums, J, i)

    def fall(i, state):
        b, sums = state
        b = jax.lax.optimization_barrier(b + _at(sums, i))
        return b, _put(sums, b, i)

    start, count = jnp.zeros_like(D[0]), D.shape[0]
    total, sums = _sweep(collect, (start, jnp.zeros_like(D)), count, not reverse)
    return total, _sweep(fall, (start, sums), count, reverse)[1]


@_running_sums.defjvp
def _running_sums_jvp(reverse, primals, tangents):
    """Scans, which can be transposed."""
    (D,), (moved,) = primals, tangents

    def step(total, x):
        return total + x, total + x

    start = jnp.zeros_like(moved[0])
    total, sums = jax.lax.scan(step, start, moved, reverse=reverse)
    return _running_sums(D, reverse), (total, jax.lax.scan(step, start, sums, reverse=not reverse)[1])


class Ladder(eqx.Module):
    """Factors of T = 1/R + G: node k keeps the share d of what lies ahead of it.

    Nothing here is differentiated. The sweeps write over arrays that they are given, where a scan would first fill its
    results with zeros; the barriers keep the compiler from computing a slab twice, once after the slab that it is
    made of has been written over, for which it would have to copy the whole array in each step (250 times slower).
    """

    d: Float[Array, "positions lines #inputs"]
    rd: Float[Array, "positions lines #inputs"]
    reverse: bool = eqx.field(static=True)

    def collect(self, source, rest, t):
        """Sweep towards the terminal: what arrives at each node, t [uA], and the energy j T^-1 j [uA V] of each input.

        `source(i, rest) -> j_i, rest` gives the currents injected at position i; t is written over the array `t`.
        """

        def step(i, state):
            behind, energy, t, rest = state
            j, rest = source(i, rest)
            new = jax.lax.optimization_barrier(j + behind)
            return _at(self.d, i) * new, energy + _at(self.rd, i) * new * new, _put(t, new, i), rest

        start = jnp.zeros_like(t[0])
        _, energy, t, rest = _sweep(step, (start, start, t, rest), len(t), not self.reverse)
        return t, jnp.sum(energy, axis=0), rest

    def fall(self, t, sink, rest):
        """Sweep back: the potentials b = T^-1 j [V] go to `sink(i, b_i, rest) -> rest`."""

        def step(i, state):
            b, rest = state
            b = jax.lax.optimization_barrier(_at(self.d, i) * b + _at(self.rd, i) * _at(t, i))
            return b, sink(i, b, rest)

        return _sweep(step, (jnp.zeros_like(t[0]), rest), len(t), self.reverse)[1]

    def solve(self, source, room):
        """T^-1 j [V] for currents source(i), and their energy; written over `room`."""
        t, energy, _ = self.collect(lambda i, rest: (source(i), rest), (), room)

        def step(i, state):
            b, t = state
            b = jax.lax.optimization_barrier(_at(self.d, i) * b + _at(self.rd, i) * _at(t, i))
            return b, _put(t, b, i)

        return _sweep(step, (jnp.zeros_like(t[0]), t), len(t), self.reverse)[1], energy


class Network(eqx.Module):
    """Cells of conductance G (rows, columns, inputs or 1) [uS] between word and bit lines, factored."""

    G: Float[Array, "rows columns #inputs"]
    turned: Float[Array, "columns rows #inputs"]
    word: Ladder
    bit: Ladder

    @classmethod
    def of(cls, G: Float[Array, "rows columns #inputs"], word: Lines, bit: Lines) -> "Network":
        """Factor it."""
        turned = jnp.swapaxes(G, 0, 1)
        return cls(G, turned, word.ladder(turned), bit.ladder(G))

    def drop(self, j: Float[Array, "rows columns inputs"], tolerance: float, most: int):
        """What short-circuit currents j of the cells drop on word and bit lines together.

        Conjugate gradients for the bit lines' potentials b: S b = D, S = T_b - G T_w^-1 G, preconditioned by T_b. With
        m = T_b q for a direction q, its image is m - G T_w^-1 G q; both quadratic forms come out of the ladders'
        first sweeps, so that a step is four sweeps, with all of the vector updates inside them.

        Args:
            j: currents of the cells if all lines were ideal [uA].
            tolerance: stops when the preconditioned residual's energy norm is this share of the first one.
            most: the most steps.

        Returns:
            Drops [V], and of each input the number of steps and the share reached.
        """
        G, bit = self.G, self.bit
        scale = jnp.max(jnp.abs(j), axis=(0, 1))  # the energies' squares must not leave float32's range
        scale = jnp.where(scale > 0, scale, 1.0)
        j = j / scale
        zero = jnp.zeros_like(j)
        none, one = jnp.zeros_like(j[0, 0]), jnp.ones_like(j[0, 0])

        def descend(alpha, rho, t, m, e):
            # rho <- rho - alpha (m - G e), and the first sweep of T_b^-1 rho
            def source(i, rho):
                new = jax.lax.optimization_barrier(_at(rho, i) - alpha * (_at(m, i) - _at(G, i) * _across(e, i)))
                return new, _put(rho, new, i)

            t, energy, rho = bit.collect(source, rho, t)
            return rho, t, energy

        def turn(alpha, beta, rho, t, b, m, q):
            # the second sweep z = T_b^-1 rho; b <- b + alpha q; q <- z + beta q; m <- rho + beta m
            def sink(i, z, state):
                product, b, m, q = state
                old = _at(q, i)
                moved, image, new = _at(b, i) + alpha * old, _at(rho, i) + beta * _at(m, i), z + beta * old
                moved, image, new = jax.lax.optimization_barrier((moved, image, new))
                return product + new * image, _put(b, moved, i), _put(m, image, i), _put(q, new, i)

            product, b, m, q = bit.fall(t, sink, (zero[0], b, m, q))
            return jnp.sum(product, axis=0), b, m, q

        def more(carry):
            step, share = carry[0], carry[1]
            return (step < most) & jnp.any(share > tolerance)

        def iterate(carry):
            step, _, first, old, now, alpha, rho, t, b, m, q, e = carry
            beta = jnp.where(step > 0, _ratio(now, old), none)
            product, b, m, q = turn(alpha, beta, rho, t, b, m, q)
            e, energy = self.word.solve(lambda i: _at(self.turned, i) * _across(q, i), e)
            alpha = jnp.maximum(_ratio(now, product - energy), 0.0)
            rho, t, new = descend(alpha, rho, t, m, e)
            return step + 1, jnp.sqrt(_ratio(new, first)), first, now, new, alpha, rho, t, b, m, q, e

        e, _ = self.word.solve(lambda i: _across(j, i), jnp.swapaxes(zero, 0, 1))
        rho, t, first = descend(-one, j, zero, zero, e)
        begin = jnp.where(first > 0, one, none)
        carry = (jnp.zeros((), int), begin, first, one, first, none, rho, t, zero, zero, zero, e)
        steps, share, *_, alpha, rho, t, b, m, q, e = jax.lax.while_loop(more, iterate, carry)
        # the last preconditioned residual is at hand, and taking it in can only help
        b = bit.fall(t, lambda i, z, b: _put(b, _at(b, i) + alpha * _at(q, i) + z, i), b)
        e, _ = self.word.solve(lambda i: _across(j, i) - _at(self.turned, i) * _across(b, i), e)
        return scale * (jnp.swapaxes(e, 0, 1) + b), jnp.full_like(one, steps), share


def _ratio(a, b):
    """a/b, and 0 where b is not positive."""
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1.0), 0.0)
