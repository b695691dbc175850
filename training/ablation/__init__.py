"""The job `ablation`: what asymmetry, states, noise and reference of a device do to each rule, one at a time."""
