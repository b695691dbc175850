"""The job `mnist-mlp`: a perceptron trained by pulses on CMO/HfOx under each rule, then left alone for ten years."""
