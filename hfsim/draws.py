"""Random draws by address: (stream, array or chip, event), never by the order of calls.

A draw is named by folding its address into a typed key and is then made in bulk for the whole array, a
device's place in it being the rest of its address. So the same draw comes out for any chunking,
checkpointing, resuming or sharding.

The learning rule's mask needs one Bernoulli draw per weight and sample; threefry would cost most of a
training step. `hashed_bernoulli` is an integer hash of (event, row, column) that fuses into the update; rows
and columns are hashed by a 32-bit finaliser with full avalanche (constants of Wellons' search, "lowbias32",
2018, public domain). Use it for masks and rounding.

A pulsed update needs a number per device and pulse, and so many that threefry would cost more than the devices.
`hashed_words` puts (row xor column, event, number) through the whole finaliser, and `hashed_normals` makes noise of the
words' bits; what they fall short of is in their docstrings, and tested. All other device noise comes from threefry.
"""

import math
from typing import Any, NamedTuple
from zlib import crc32

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from hfsim.errors import InputError

_VECTOR = 8  # single-precision numbers in a register


def stream(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """The sub-stream of `key` with this name."""
    return jax.random.fold_in(key, crc32(name.encode()))


def address(key: Key[Array, ""], *places: int | Int[Array, ""]) -> Key[Array, ""]:
    """Fold integers (array, chip, event, ...) into `key`, in this order."""
    for place in places:
        key = jax.random.fold_in(key, place)
    return key


def require_key(key: Any, name: str = "key") -> Key[Array, ""]:
    """Return `key` if it is one typed key.

    Raises:
        InputError: it is none, or a raw uint32 one, whose arithmetic silently makes new "keys".
    """
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    raise InputError(name, "be a typed key", type(key).__name__, "make one with jax.random.key(seed)")


def normal(key: Key[Array, ""], shape: tuple[int, ...], dtype: Any) -> Float[Array, "..."]:
    """Standard normal numbers, drawn in float32 and cast: the same draws in single and double precision."""
    return jax.random.normal(require_key(key), shape, dtype=jnp.float32).astype(dtype)


def coarse_normals(key: Key[Array, ""], shape: tuple[int, ...], dtype: Any) -> Float[Array, "pairs ..."]:
    """Standard normal numbers of `shape`, the first axis even: the 65,536 quantiles, two from each random word.

    At less than half of the price of `normal`. They end at 4.32 standard deviations, beyond which one in 65,536 normal
    numbers lies; the variance is 1 - 2e-5. For means and spreads of many devices, not for their rare failures.
    """
    if shape[0] % 2:
        raise InputError("shape", "have an even first axis", shape)
    words = jax.random.bits(require_key(key), (shape[0] // 2, *shape[1:]), jnp.uint32)
    halves = jnp.concatenate([words & 0xFFFF, words >> 16]).astype(jnp.float32)
    return (math.sqrt(2) * jax.lax.erf_inv((halves + 0.5) / 2**15 - 1)).astype(dtype)


def row_normals(key: Key[Array, ""], first, shape: tuple[int, ...], dtype: Any) -> Float[Array, "rows ..."]:
    """Standard normal numbers of `shape`, row i drawn at the address (key, first + i).

    A batch that is split, padded or put together again gets the same numbers in the same rows.
    """
    width = math.prod(shape[1:])
    wide = max(width, _VECTOR)  # shorter rows are rounded otherwise where a compiled loop does not fill a register
    rows = first + jnp.arange(shape[0])
    numbers = jax.vmap(lambda row: normal(address(key, row), (wide,), dtype))(rows)
    if wide > width:
        numbers = jax.lax.optimization_barrier(numbers)[:, :width]
    return numbers.reshape(shape)


class EventHash(NamedTuple):
    """Random words of one event for an array of some shape: one for each row, one for each column.

    `rows` has the array's shape without its last axis and a 1 in its place, `columns` that of the last axis.
    """

    rows: UInt32[Array, "*rows 1"]
    columns: UInt32[Array, " columns"]


def _avalanche(x: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """A 32-bit finaliser in which every input bit flips every output bit half of the time."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def event_hash(key: Key[Array, ""], event: Int[Array, ""] | int, shape: tuple[int, ...]) -> EventHash:
    """The random words of `event` on an array of `shape`, which has at least one axis.

    Threefry draws an odd multiplier and an offset for the event; each row and column hashes its number with
    them.
    """
    multiplier, offset = jax.random.bits(jax.random.fold_in(key, event), (2,), jnp.uint32)
    lines = math.prod(shape[:-1]) + shape[-1]
    words = _avalanche(jnp.arange(lines, dtype=jnp.uint32) * (multiplier | jnp.uint32(1)) + offset)
    return EventHash(words[: -shape[-1]].reshape((*shape[:-1], 1)), words[-shape[-1] :])


def hashed_bits(event: EventHash) -> UInt32[Array, "..."]:
    """One 32-bit word for each place of the array: (row xor column) times an odd constant.

    Three instructions a place, so that it fuses into an update. The upper bits are the good ones. Any three of
    the four corners of a rectangle are independent; the fourth follows from them, scrambled by the product.
    """
    return (event.rows ^ event.columns) * jnp.uint32(0x9E3779B1)


def hashed_bernoulli(event: EventHash, probability: Float[Array, ""]) -> Bool[Array, "..."]:
    """True with `probability` at each place of the array, on a grid of 2^-31; 0 is never and 1 always."""
    threshold = (jnp.asarray(probability, jnp.float32) * 2.0**31).astype(jnp.uint32)
    return (hashed_bits(event) >> 1) < threshold


def hashed_uniform(event: EventHash) -> Float[Array, "..."]:
    """Uniform float32 numbers in [0, 1) at each place of the array, on a grid of 2^-24."""
    return (hashed_bits(event) >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)


def hashed_words(event: EventHash, number: Int[Array, "..."] | int = 0) -> UInt32[Array, "..."]:
    """One well mixed 32-bit word for each place of the array; another one for each `number` of the same event."""
    return _avalanche((event.rows ^ event.columns) + jnp.asarray(number).astype(jnp.uint32) * jnp.uint32(0x632BE5AB))


def hashed_normals(event: EventHash, number: Int[Array, "..."] | int = 0) -> Float[Array, "..."]:
    """Nearly normal float32 numbers of variance 1 at each place of the array: the bits of a word counted, and smoothed.

    A binomial number of 32 draws and a uniform one of its spacing's width, of the same word: mean 0, variance 1 and
    skew 0 as those of a normal number, fourth moment 2.94 for 3, largest value 5.8; no quantile is off by more than
    0.015 deviations inside +-1.9, 0.025 inside +-2 and 0.09 inside +-3.3.
    """
    word = hashed_words(event, number)
    count = jax.lax.population_count(word).astype(jnp.float32)
    smooth = ((word * jnp.uint32(0x9E3779B1)) >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)
    return (count + smooth - jnp.float32(16.5)) * jnp.float32(1 / math.sqrt(8 + 1 / 12))
