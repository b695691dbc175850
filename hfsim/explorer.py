"""An explorer for notebooks: move a parameter, see what it does; needs ipywidgets and matplotlib.

Explorer(capacitor, ["P_r", "kinetics.b"], {"loop": lambda model, axes: model.plot(2.5, axes=axes)})
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.figure import Figure

from hfsim.errors import InputError
from hfsim.parameters import ParameterSpec, PhysicalModel, parameters
from hfsim.studies.design import Design, Variable

_REACH = 4.0
"""A slider reaches from value/4 to 4 times the value, or as far from a value as its size, within the bounds."""
_STEPS = 200
"""Places of a slider."""


class Explorer(ipywidgets.VBox):
    """Sliders for parameters of a model, and panels that are drawn anew when one is moved.

    Args:
        model: any tree of models with declared parameters.
        names: dotted names of the scalar parameters that get a slider.
        panels: by title, what to draw: (model, axes) -> anything.
        ranges: (low, high) of a slider by name, within the parameter's bounds; by default about its value.
        size: of one panel [inch].

    Raises:
        InputError: a name that the model does not have, an array, a range outside the bounds or without the value, or
            no panel.
    """

    def __init__(
        self,
        model: PhysicalModel,
        names: Sequence[str],
        panels: Mapping[str, Callable[[Any, Any], Any]],
        *,
        ranges: Mapping[str, tuple[float, float]] | None = None,
        size: tuple[float, float] = (4.0, 3.2),
    ):
        if not panels:
            raise InputError("panels", "hold at least one drawing", "none")
        self.panels, self.size = dict(panels), size
        self.values = {name: float(value) for name, _, value in parameters(model) if not np.ndim(value)}
        ends = {name: (ranges or {}).get(name, (None, None)) for name in names}
        self.design = Design(model, [Variable(name, *ends[name]) for name in names])
        for name in names:
            if name not in self.values:
                raise InputError(name, "be one number to have a slider", "an array")
        self.sliders = {
            name: _slider(name, self.values[name], spec, name in (ranges or {}))
            for name, spec in self.design.specs.items()
        }
        self.image, self.message = ipywidgets.Image(format="png"), ipywidgets.HTML()
        self.back = ipywidgets.Button(description="as it was", layout=ipywidgets.Layout(width="8em"))
        self.back.on_click(lambda _: self.reset())
        for slider in self.sliders.values():
            slider.observe(lambda _: self.draw(), names="value")
        super().__init__([*self.sliders.values(), ipywidgets.HBox([self.back, self.message]), self.image])
        self.draw()

    @property
    def model(self) -> Any:
        """The model at the sliders' places."""
        return self.design.with_values({name: slider.value for name, slider in self.sliders.items()})

    def reset(self) -> None:
        """Move every slider back."""
        for name, slider in self.sliders.items():
            slider.value = self.values[name]

    def draw(self) -> None:
        """Draw all panels; what the model refuses is told beside the button, and the last figure stays."""
        figure = Figure(figsize=(self.size[0] * len(self.panels), self.size[1]), layout="constrained")
        axes = figure.subplots(1, len(self.panels), squeeze=False)[0]
        try:
            model = self.model
            for ax, (title, draw) in zip(axes, self.panels.items(), strict=True):
                draw(model, ax)
                ax.set_title(title, fontsize=10)
        except InputError as error:
            self.message.value = str(error)
            return
        self.message.value = ""
        with io.BytesIO() as picture:
            figure.savefig(picture, format="png", dpi=90)
            self.image.value = picture.getvalue()


def _slider(name: str, value: float, spec: ParameterSpec, whole: bool):
    """A slider over all of `spec`, or about the value."""
    low, high = spec.lower, spec.upper
    if not whole:
        reach = (value / _REACH, value * _REACH) if value > 0 else (value - (abs(value) or 1.0), abs(value) or 1.0)
        low, high = max(low, reach[0]), min(high, reach[1])
    common: dict[str, Any] = {
        "value": value,
        "description": name if spec.unit == "1" else f"{name} [{spec.unit}]",
        "tooltip": spec.doc,
        "continuous_update": False,
        "readout_format": ".4g",
        "style": {"description_width": "14em"},
        "layout": ipywidgets.Layout(width="40em"),
    }
    if spec.logarithmic:
        low, high = float(np.log10(low)), float(np.log10(high))
        return ipywidgets.FloatLogSlider(**common, min=low, max=high, step=(high - low) / _STEPS)
    return ipywidgets.FloatSlider(**common, min=low, max=high, step=(high - low) / _STEPS)
