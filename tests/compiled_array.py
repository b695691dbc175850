"""The array's operations, compiled once for all tests that use one shape of array."""

import equinox as eqx

LINES = 4  # 32 synapses: four of each code

init = eqx.filter_jit(lambda array, key: array.init(key))
write = eqx.filter_jit(lambda array, state, words: array.write(state, words))
sense = eqx.filter_jit(lambda array, state, key: array.sense(state, key))
update = eqx.filter_jit(lambda array, state, step, key: array.update(state, step, key))
transfer = eqx.filter_jit(lambda array, state, key: array.transfer(state, key))
conductances = eqx.filter_jit(lambda array, state: array.conductances(state))
wait = eqx.filter_jit(lambda array, state, seconds: array.wait(state, seconds))
