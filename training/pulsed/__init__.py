"""Training networks on pulsed arrays, as the jobs `mnist-mlp`, `learning-rates`, `char-lstm` and `ablation` do it."""
