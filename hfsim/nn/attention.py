"""Multi-head attention whose projections are analogue.

    q, k, v = x W_q, x' W_k, x'' W_v        per head: softmax(q k^T/sqrt(depth)) v        y = heads W_o

A. Vaswani et al., NeurIPS (2017). The four projections are arrays; scores, softmax and the weighted sum multiply
activations with each other, which devices would have to be rewritten for, and are digital.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from hfsim.draws import stream
from hfsim.errors import InputError
from hfsim.learning.factors import Factors
from hfsim.nn.array import check_counts
from hfsim.nn.linear import AnalogLinear

HIGHEST = jax.lax.Precision.HIGHEST


class AttentionTaps(NamedTuple):
    """Factors of the four projections."""

    query: Factors
    key: Factors
    value: Factors
    out: Factors


class AnalogAttention(nnx.Module):
    """Attention of several heads, to the inputs themselves or to others.

    Args:
        num_heads: heads; they share `qkv_features` evenly.
        in_features: of the inputs.
        qkv_features: of queries, keys and values, all heads together; None takes in_features.
        out_features: None takes in_features.
        in_kv_features: of what keys and values are made from; None takes in_features.
        use_bias: whether the projections have biases.
        rngs: nnx random streams; `params` is used.
        options: of each projection (`AnalogLinear`): periphery, scale, ...

    Raises:
        InputError: features that the heads do not divide.
    """

    def __init__(
        self,
        num_heads: int,
        in_features: int,
        *,
        qkv_features: int | None = None,
        out_features: int | None = None,
        in_kv_features: int | None = None,
        use_bias: bool = True,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        qkv = in_features if qkv_features is None else qkv_features
        source = in_features if in_kv_features is None else in_kv_features
        check_counts(num_heads=num_heads, qkv_features=qkv)
        if qkv % num_heads:
            raise InputError("qkv_features", f"be a multiple of {num_heads} heads", qkv)

        def projection(inputs, outputs):
            return AnalogLinear(inputs, outputs, use_bias=use_bias, rngs=rngs, **options)

        self.num_heads = num_heads
        self.query, self.key, self.value = (projection(n, qkv) for n in (in_features, source, source))
        self.out = projection(qkv, in_features if out_features is None else out_features)

    def __call__(
        self,
        x: Float[Array, "*batch queries features"],
        taps: AttentionTaps | None = None,
        key: Key[Array, ""] | None = None,
        *,
        inputs_k: Float[Array, "*batch keys features"] | None = None,
        inputs_v: Float[Array, "*batch keys features"] | None = None,
        mask: Bool[Array, "*#batch #heads #queries #keys"] | None = None,
        is_causal: bool = False,
        first=0,
    ) -> Float[Array, "*batch queries features"]:
        """What each query gathers.

        Args:
            x: what queries are made from.
            taps: of `zero_taps`.
            key: of this pass (a random key); None reads without noise.
            inputs_k: what keys are made from; None takes x.
            inputs_v: what values are made from; None takes inputs_k.
            mask: False where a query does not look; a query that looks nowhere gathers the mean of all values.
            is_causal: whether a query looks at no later place than its own.
            first: number of x's first entry along its leading axis in the batch that it is a part of.

        Raises:
            InputError: values without keys, or of another number.
        """
        inputs_k, inputs_v = _sources(x, inputs_k, inputs_v)
        each: Any = (None,) * 4 if taps is None else taps
        names = ("query", "key", "value", "out")
        keys = [None if key is None else stream(key, name) for name in names]
        layers = (self.query, self.key, self.value)
        q, k, v = (
            self._heads(layer(source, tap, own, first=first))
            for layer, source, tap, own in zip(layers, (x, inputs_k, inputs_v), each, keys, strict=False)
        )
        gathered = _attended(q, k, v, mask, is_causal)
        return self.out(gathered.reshape(*x.shape[:-1], -1), each[3], keys[3], first=first)

    def zero_taps(self, x: Any, inputs_k: Any = None, inputs_v: Any = None) -> AttentionTaps:
        """Taps for inputs like these."""
        inputs_k, inputs_v = _sources(x, inputs_k, inputs_v)
        gathered = jax.ShapeDtypeStruct((*x.shape[:-1], self.out.array.in_features), x.dtype)
        layers = (self.query, self.key, self.value, self.out)
        sources = (x, inputs_k, inputs_v, gathered)
        return AttentionTaps(*(layer.zero_taps(s) for layer, s in zip(layers, sources, strict=True)))

    def _heads(self, y):
        return y.reshape(*y.shape[:-1], self.num_heads, -1)


def _sources(x, inputs_k, inputs_v):
    if inputs_k is None and inputs_v is not None:
        raise InputError("inputs_k", "be given with inputs_v", None)
    inputs_k = x if inputs_k is None else inputs_k
    inputs_v = inputs_k if inputs_v is None else inputs_v
    if inputs_k.shape[:-1] != inputs_v.shape[:-1]:
        raise InputError("inputs_v", f"have shape (*{inputs_k.shape[:-1]}, features)", f"shape {inputs_v.shape}")
    return inputs_k, inputs_v


def _attended(q, k, v, mask, is_causal: bool):
    """softmax(q k^T/sqrt(depth)) v for (*batch, length, heads, depth)."""
    scores = jnp.einsum("...qhd,...khd->...hqk", q / jnp.sqrt(q.shape[-1]).astype(q.dtype), k, precision=HIGHEST)
    if is_causal:
        causal = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        mask = causal if mask is None else mask & causal
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
    return jnp.einsum("...hqk,...khd->...qhd", jax.nn.softmax(scores, axis=-1), v, precision=HIGHEST)
