"""The first test: does the installed jax compute right? If not, everything stops here, with the remedy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytestmark = pytest.mark.optimised

REMEDY = (
    "the installed jax {version} returns wrong values for a vmapped product with a reduction (jax issue 39103): "
    "install jax >= 0.11.2, as in constraints.txt: pip install -c constraints.txt -e '.[dev,experiments]'"
)


def test_jax_multiplies_right():
    """`jit(vmap(mat-vec) + reduction)`, a crossbar's own workload, is silently wrong in jax 0.10.2 on CPU."""
    with jax.enable_x64(True):
        for dtype, size in ((jnp.float64, 16385), (jnp.float32, 32769)):
            row = jnp.arange(size, dtype=dtype)
            x = jnp.stack((row, 0 * row, 0 * row), axis=1)
            eye = jnp.eye(3, dtype=dtype)

            def squares(x, eye=eye):
                return jax.vmap(lambda vector: jnp.sum((eye @ vector) ** 2))(x)

            if not np.array_equal(jax.jit(squares)(x), np.asarray(row) ** 2):
                pytest.exit(REMEDY.format(version=jax.__version__), returncode=3)


def test_jax_is_recent_enough():
    version = tuple(int(part) for part in jax.__version__.split(".")[:3])
    assert version >= (0, 11, 2), REMEDY.format(version=jax.__version__)
