"""The price of a gradient of study 1, and the time of its search under each mechanism.

Value and gradient are compared with the value alone, of the same objective in the same run: with one free parameter and
with all eight, as reverse mode costs the same for both. The search is that of `python -m training codesign`, with its
compilation.
"""

import time

import jax

from benchmarks.measure import Row, interleaved_seconds
from hfsim.studies import LBFGS, Design, optimise
from training.codesign import staircase_model as model
from training.codesign.staircase_study import STEPS

BAR_GRADIENT = 5.0
BAR_SEARCH = 300.0


def rows() -> list[Row]:
    """Gradients of few and of all parameters, then searches."""
    found = []
    for mechanism in model.MECHANISMS:
        whole, objective = model.design(mechanism), model.objective(mechanism)
        one = Design(whole.model, [v for v in whole.variables if v.name == "transistor.W"])
        for design in (one, whole):
            found.append(_gradient(mechanism, design, objective))
        found.append(_search(mechanism, whole, objective))
    return found


def _gradient(mechanism: str, design: Design, objective) -> Row:
    key, z = jax.random.key(0), design.start()
    value = jax.jit(lambda z: objective(design.model_of(z), key).value)
    both = jax.jit(jax.value_and_grad(lambda z: objective(design.model_of(z), key).value))
    alone, gradient = interleaved_seconds([lambda: value(z), lambda: both(z)])
    case = f"{mechanism}: value and gradient, {len(z)} free"
    bar = f"at most {BAR_GRADIENT:g} values"
    return Row(case, gradient, "the value alone", alone, alone / gradient, bar, gradient <= BAR_GRADIENT * alone)


def _search(mechanism: str, design: Design, objective) -> Row:
    began = time.perf_counter()
    optimise(design, objective, jax.random.key(0), optimiser=LBFGS(), steps=STEPS)
    seconds = time.perf_counter() - began
    case, bar = f"{mechanism}: search of {STEPS} steps, compilation included", f"at most {BAR_SEARCH:g} s"
    return Row(case, seconds, "", None, None, bar, seconds <= BAR_SEARCH)
