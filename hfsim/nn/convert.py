"""An existing flax network on devices, and back.

    analogue, report = convert(network, "cmo-hfox-2025")
    graph, weights, rest = nnx.split(analogue, AnalogWeight, ...)       # what devices hold, for a `ProgrammedMemory`
    digital = restore(analogue)

Every `nnx.Linear`, `LinearGeneral` (so the projections of `MultiHeadAttention`), `Conv` of one to three axes with
groups, `LSTMCell`, `OptimizedLSTMCell` and `GRUCell`, wherever it is in the network (modules, lists, dictionaries,
`Sequential`, `RNN`, `Bidirectional`), gives its place to an analogue layer that is called in the same way. The rest
stays, and the report says why. The network that is given is not changed.

A batch norm that directly follows a converted `Linear` or `Conv` in a `Sequential`, and any pair that `folded` names,
becomes part of the layer's weights with its running statistics,

    W' = W a,   b' = (b - mean) a + beta,   a = gamma/sqrt(var + eps)

so that the network is one for inference; `restore` leaves it folded. Elsewhere nobody knows what runs after what.

Traps: subclasses of these layers may compute something else and stay digital, as do layers with a mask or a product
of their own. A shared layer is converted once and stays shared.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key

from hfsim.cards import Card
from hfsim.crossbar.weight_scaling import AbstractWeightScaling, LargestWeight
from hfsim.draws import require_key, stream
from hfsim.errors import InputError
from hfsim.nn.converted import (
    AbstractConverted,
    ConvertedConv,
    ConvertedGRUCell,
    ConvertedLinear,
    ConvertedLinearGeneral,
    ConvertedLSTMCell,
    FoldedNorm,
    ReadKey,
)
from hfsim.nn.module_tree import mapped, modules, uses
from hfsim.nn.periphery import Periphery
from hfsim.nn.variables import AnalogWeight

Network = Any
KINDS: dict[type, type[AbstractConverted]] = {
    nnx.Linear: ConvertedLinear,
    nnx.LinearGeneral: ConvertedLinearGeneral,
    nnx.Conv: ConvertedConv,
    nnx.LSTMCell: ConvertedLSTMCell,
    nnx.OptimizedLSTMCell: ConvertedLSTMCell,
    nnx.GRUCell: ConvertedGRUCell,
}
CELLS = (nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell)
OPAQUE = tuple(getattr(nnx, name) for name in ("SpectralNorm", "WeightNorm") if hasattr(nnx, name))


class Line(NamedTuple):
    """One layer of a report: where it is, what it is, and what became of it."""

    path: str
    kind: str
    remark: str


class ConversionReport(NamedTuple):
    """Layers on devices, with their matrices; layers with weights that stay digital, and why; folded norms."""

    converted: tuple[Line, ...]
    kept: tuple[Line, ...]
    folded: tuple[Line, ...]

    def __str__(self) -> str:
        lines = []
        for title, part in (("on devices", self.converted), ("folded", self.folded), ("digital", self.kept)):
            lines += [f"{title}: {line.path or '(the network)'} ({line.kind}): {line.remark}" for line in part]
        return "\n".join(lines)


class Conversion(NamedTuple):
    """The analogue network, and the report of it."""

    network: Network
    report: ConversionReport


def convert(
    network: Network,
    card: Card | str | None = None,
    *,
    periphery: Periphery | None = None,
    digital: Collection[str] | Callable[[str, Any], bool] = (),
    folded: Mapping[str, str] | None = None,
    fold_sequential: bool = True,
    scale: AbstractWeightScaling | None = None,
    **options: Any,
) -> Conversion:
    """An analogue network that computes what `network` does in inference.

    Args:
        network: a module of flax nnx.
        card: the periphery is `Periphery.from_card(card)`; None, without a periphery too, multiplies exactly.
        periphery: what surrounds the devices of every layer, in place of a card.
        digital: paths of layers that stay digital, with all below them ("head", "blocks.0"), or a function of a
            layer's path and the layer.
        folded: paths of layers, each with the path of the batch norm that follows it.
        fold_sequential: whether batch norms in a `Sequential` are folded by themselves.
        scale: how a matrix is brought into the window; each column by its largest weight by default.
        options: of `AnalogArray`: learn_scale, learned, precision.

    Raises:
        InputError: a card and a periphery, or a path that names nothing that fits.
    """
    if card is not None and periphery is not None:
        raise InputError("periphery", "be None with a card", periphery, "make it with Periphery.from_card")
    periphery = periphery if card is None else Periphery.from_card(card)
    options = {"periphery": periphery, "rngs": nnx.Rngs(0), **options}
    work = _Conversion(nnx.clone(network), digital, LargestWeight() if scale is None else scale, options)
    work.fold(dict(folded or {}), fold_sequential)
    result = work.replaced()
    work.check_used()
    return Conversion(result, ConversionReport(tuple(work.converted), tuple(work.kept), tuple(work.folded)))


def restore(network: Network) -> Network:
    """The digital network of a converted one, with the weights that devices hold now; folded norms stay folded."""
    copy = nnx.clone(network)
    return mapped(copy, lambda path, module: module.restored() if isinstance(module, AbstractConverted) else None)


def reading(network: Network, key: Key[Array, ""] | None) -> Network:
    """The same converted network, whose layers read with noise: each draws at the stream of its path in `key`.

    None reads without noise. See `hfsim.nn.converted` for layers that a pass calls more than once.
    """
    copy = nnx.clone(network)
    if key is not None:
        require_key(key)
    for path, module in modules(copy).items():
        if isinstance(module, AbstractConverted):
            module.read_key = nnx.data(None) if key is None else ReadKey(stream(key, path))
    return copy


class _Conversion:
    """One conversion under way."""

    def __init__(self, network: Network, digital: Any, scale: AbstractWeightScaling, options: dict[str, Any]):
        if isinstance(digital, str):
            raise InputError(
                "digital", "be a collection of paths, or a function", repr(digital), f"write [{digital!r}]"
            )
        self.network, self.digital, self.scale, self.options = network, digital, scale, options
        self.modules = modules(network)
        self.uses = uses(network)
        self.staying = self._staying()
        self.norms: set[int] = set()
        self.converted: list[Line] = []
        self.kept: list[Line] = []
        self.folded: list[Line] = []

    def fold(self, pairs: dict[str, str], sequential: bool) -> None:
        """Make batch norms a part of the layers before them."""
        for layer, norm in pairs.items():
            for path in (layer, norm):
                if path not in self.modules:
                    raise InputError("folded", f"name paths among {', '.join(filter(None, self.modules))}", repr(path))
            reason = self._unfoldable(layer, norm)
            if reason:
                raise InputError("folded", "name a layer on devices and its batch norm", f"{layer}, {norm}: {reason}")
            self._fold(layer, norm)
        for path, module in list(self.modules.items()) if sequential else ():
            if type(module) is nnx.Sequential:
                prefix = f"{path}.layers." if path else "layers."
                for number in range(len(module.layers) - 1):
                    layer, norm = f"{prefix}{number}", f"{prefix}{number + 1}"
                    follows = isinstance(self.modules.get(norm), nnx.BatchNorm) and layer in self.modules
                    if follows and not self._unfoldable(layer, norm):
                        self._fold(layer, norm)

    def replaced(self) -> Network:
        """The network with analogue layers."""
        return mapped(self.network, self._layer)

    def check_used(self) -> None:
        """Refuse paths that named nothing."""
        if callable(self.digital):
            return
        unused = [p for p in self.digital if p not in self.modules]
        if unused:
            raise InputError("digital", f"name paths among {', '.join(filter(None, self.modules))}", ", ".join(unused))

    def _layer(self, path: str, module: Any):
        """What takes the place of a module; None where it is looked into."""
        kind = type(module).__name__
        if id(module) in self.norms:
            return FoldedNorm()
        if id(module) in self.staying:
            if _own_weights(module):
                self.kept.append(Line(path, kind, self.staying[id(module)]))
            return None
        if type(module) in KINDS:
            reason = _unsupported(module)
            if reason is None:
                layer = KINDS[type(module)](module, self.scale, **self.options)
                self.converted.append(Line(path, kind, _shapes(layer)))
                return layer
            if isinstance(module, CELLS):  # its matrices may still be on devices, each in an array of its own
                return None
            self.kept.append(Line(path, kind, reason))
        elif _own_weights(module):
            bases = [base.__name__ for base in KINDS if isinstance(module, base)]
            reason = f"a subclass of {bases[0]}, which may compute something else" if bases else _remark(module)
            self.kept.append(Line(path, kind, reason))
        return None

    def _staying(self) -> dict[int, str]:
        """Modules that are not looked at, by identity, and why: the chosen ones and all below them."""
        staying: dict[int, str] = {}
        for path, module in self.modules.items():
            if isinstance(module, OPAQUE):
                reason = f"{type(module).__name__} computes its weights anew at each call"
            elif self.digital(path, module) if callable(self.digital) else path in self.digital:
                reason = "left digital by `digital`"
            else:
                continue
            for inner in modules(module).values():
                staying.setdefault(id(inner), reason)
        return staying

    def _unfoldable(self, layer: str, norm: str) -> str | None:
        """Why this pair is not folded."""
        first, second = self.modules[layer], self.modules[norm]
        if type(first) not in (nnx.Linear, nnx.Conv) or _unsupported(first) is not None:
            return "the first is no Linear or Conv that can be on devices"
        if id(first) in self.staying:
            return "the layer stays digital"
        if type(second) is not nnx.BatchNorm or second.axis != -1:
            return "the second is no BatchNorm over the last axis"
        if second.num_features != first.out_features:
            return f"{first.out_features} outputs before {second.num_features} features"
        if self.uses[id(first)] > 1 or self.uses[id(second)] > 1:
            return "one of them is used in several places"
        return None

    def _fold(self, layer: str, norm: str) -> None:
        first, second = self.modules[layer], self.modules[norm]
        kernel = first.kernel.get_value()
        gain = jax.lax.rsqrt(second.var.get_value() + second.epsilon)
        gain = gain if second.scale is None else gain * second.scale.get_value()
        before = 0.0 if first.bias is None else first.bias.get_value()
        bias = (before - second.mean.get_value()) * gain
        bias = bias if second.bias is None else bias + second.bias.get_value()
        first.kernel.set_value((kernel * gain).astype(kernel.dtype))
        first.bias, first.use_bias = nnx.Param(bias.astype(kernel.dtype)), True
        self.norms.add(id(second))
        self.folded.append(Line(norm, "BatchNorm", f"part of {layer}"))


def _unsupported(module: Any) -> str | None:
    """Why a layer of a known kind cannot be on devices as it is."""
    if isinstance(module, CELLS):
        if module.gate_fn is not nnx.sigmoid or module.activation_fn not in (nnx.tanh, jnp.tanh):
            return "its gates are not sigmoid and tanh"
        if module.carry_init is not None or module.rngs is not None:
            return "it draws its first carry"
        return None if module.dtype is None else f"it computes in {jnp.dtype(module.dtype).name}"
    if not jnp.issubdtype(module.kernel.get_value().dtype, jnp.floating):
        return "its kernel holds no real numbers"
    if module.preferred_element_type is not None:
        return "it sums in a type of its own"
    if isinstance(module, nnx.Conv):
        if len(module.kernel_size) > 3:
            return "its window has more than three axes"
        if module.mask is not None:
            return "its kernel has a mask"
        if module.conv_general_dilated is not jax.lax.conv_general_dilated:
            return "it has a product of its own"
        dilation = module.input_dilation
        plain = dilation in (None, 1) or (not isinstance(dilation, int) and all(d == 1 for d in dilation))
        return None if plain else "its inputs are dilated"
    if isinstance(module, nnx.LinearGeneral):
        if module.batch_axis:
            return "it has a kernel for each place of a batch axis"
        own = module.dot_general not in (None, jax.lax.dot_general) or module.dot_general_cls is not None
        return "it has a product of its own" if own else None
    return None if module.dot_general is jax.lax.dot_general else "it has a product of its own"


def _remark(module: Any) -> str:
    if isinstance(module, nnx.Embed):
        return "a look-up, not a product"
    many = any(jnp.ndim(v.get_value()) > 1 for v in vars(module).values() if isinstance(v, nnx.Param))
    return "no analogue layer for it" if many else "holds no matrix"


def _shapes(layer: AbstractConverted) -> str:
    shapes = [v.get_value().shape for _, v in nnx.iter_graph(layer) if isinstance(v, AnalogWeight)]
    return ", ".join(" x ".join(map(str, shape)) for shape in shapes)


def _own_weights(module: Any) -> bool:
    return any(isinstance(v, nnx.Param) for v in vars(module).values())
