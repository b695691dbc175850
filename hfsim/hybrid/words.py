"""The hidden weight: a 10-bit sign-magnitude integer, and its truncation to sign and three bits.

    word  = (-1)^sign |W|,  |W| in 0..511        code = floor(|W|/64) in 0..7
    bits  = sign, m8 m7 m6 (the MSBs, transferred), m5 ... m0

Words live as floats that hold integers, so that gradients pass; the sign of a zero is the float's own: +0.0
and -0.0 are two stored words. Martemucci et al., Nature Electronics 8, 921 (2025).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt16

from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator, Exact

WORD_MAX = 511
"""Largest magnitude of a hidden word."""
WORDS_PER_CODE = 64
"""Hidden steps in one transferred step: the six bits that are cut off."""
WORDS_PER_UNIT = 512
"""Hidden steps in a weight of 1: eight levels of 64."""
CODES = 8
"""Conductance levels of one memristor."""
WORD_BITS = 10
"""Bits of a word: the sign and nine of magnitude."""
_SIGN_BIT = 1 << (WORD_BITS - 1)


def negative(word: Float[Array, "..."]) -> Bool[Array, "..."]:
    """The sign bit of words, that of -0.0 included."""
    return jnp.signbit(word)


def code(word: Float[Array, "..."], estimator: AbstractEstimator | None = None) -> Float[Array, "..."]:
    """The transferred magnitude, floor(|W|/64); `estimator` differentiates the floor (default `Exact`)."""
    return (estimator or Exact()).floor(jnp.abs(word) / WORDS_PER_CODE)


def truncate(word: Float[Array, "..."], estimator: AbstractEstimator | None = None) -> Float[Array, "..."]:
    """The analogue weight in level units, W_a = sign floor(|W|/64), of -7..7."""
    return jnp.where(negative(word), -1.0, 1.0) * code(word, estimator)


def pack(word: Float[Array, "..."]) -> UInt16[np.ndarray, "..."]:
    """Words as 10-bit patterns, the sign in bit 9 and the magnitude below it.

    Raises:
        InputError: a word is no integer of -511..511.
    """
    values = np.asarray(word)
    if not np.all((values == np.round(values)) & (np.abs(values) <= WORD_MAX)):
        raise InputError("word", f"hold integers of -{WORD_MAX}..{WORD_MAX}", "other numbers")
    return np.abs(values).astype(np.uint16) | np.where(np.signbit(values), _SIGN_BIT, 0).astype(np.uint16)


def unpack(pattern: UInt16[np.ndarray, "..."], dtype=np.float32) -> Float[np.ndarray, "..."]:
    """The words of 10-bit patterns; the pattern of sign 1 and magnitude 0 gives -0.0.

    Raises:
        InputError: a pattern has a bit beyond the tenth.
    """
    pattern = np.asarray(pattern)
    if not np.issubdtype(pattern.dtype, np.integer) or np.any(pattern >> WORD_BITS):
        raise InputError("pattern", f"hold integers of {WORD_BITS} bits", f"{pattern.dtype} beyond them")
    magnitude = (pattern & (_SIGN_BIT - 1)).astype(dtype)
    return np.where(pattern & _SIGN_BIT, -magnitude, magnitude)


def word_bits(word: Float[Array, "..."]) -> Float[Array, "... 10"]:
    """The ten stored bits of words, sign first, as 0.0 or 1.0."""
    places = jnp.asarray([2.0**-k for k in range(WORD_BITS - 2, -1, -1)], word.dtype)
    magnitude = jnp.floor(jnp.abs(word)[..., None] * places) % 2
    return jnp.concatenate([negative(word).astype(word.dtype)[..., None], magnitude], axis=-1)


def words_of_bits(bits: Float[Array, "... 10"]) -> Float[Array, "..."]:
    """The words of ten bits, sign first."""
    places = jnp.asarray([2.0**k for k in range(WORD_BITS - 2, -1, -1)], bits.dtype)
    magnitude = jnp.sum(bits[..., 1:] * places, axis=-1)
    return jnp.where(bits[..., 0] > 0.5, -magnitude, magnitude)
