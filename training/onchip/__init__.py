"""The job `onchip`: a network learns digits on the simulated hybrid chip, and is left alone for ten years."""
