"""Training networks on pulsed arrays, as the jobs `mnist-mlp`, `char-lstm` and `ablation` do it."""
