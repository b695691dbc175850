"""Axes to draw in where the caller brings none."""


def new_axes(size: tuple[float, float] = (4.8, 3.4)):
    """Axes of a new figure of `size` [inch]."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]
