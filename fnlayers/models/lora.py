"""LoRA: a model whose weights stay as they are, with a small trained product added to some of its kernels."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers.core.checks import check_key
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, MissingError, brief
from fnlayers.core.inherited import inherit_dtype
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import canonical
from fnlayers.core.spec import Param, initialize, leaf_at, spec_items
from fnlayers.core.types import Key, Params, Sizes
from fnlayers.half_precision import accumulation_dtype
from fnlayers.models.fitting import suggested_shape
from fnlayers.plain_data import FrozenDict
from fnlayers.trees import matches, paths

# What the factors do not take over from the kernel: they are trained, and have no options of their own.
_PLAIN: Mapping[str, Any] = FrozenDict(regularizer=None, constraint=None, axes=(), decay=None, trainable=True)


@layerclass
class LoRA(Layer):
    """A model in which W + a @ b * alpha / rank stands for each chosen kernel W. Made by `fnlayers.lora`; see there.

    Arguments:
        model: the model.
        rank: the number of columns of a, and of rows of b.
        patterns: paths of the kernels, or of layers that hold them.
        alpha: the scale; None: rank, so that alpha / rank is 1.
        dtype: the model's policy, where it has none of its own. The product of the factors is computed in float32.

    Shapes: the model's.
    Weights: `model`: those of the model. `lora`: by the path of each kernel `a` (inputs, rank), drawn, and `b` (rank,
        outputs), zeros. State: `model`: that of the model.
    Random: as the model.
    Mask: the model's.
    """

    model: Layer
    rank: int
    patterns: tuple[str, ...] = ("**",)
    alpha: float | None = None

    casts_inputs: ClassVar[str] = "none"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """A model, a rank of at least one, patterns."""
        if not isinstance(self.model, Layer):
            raise ConfigError(f"LoRA takes a model, got {self.model!r}")
        if not isinstance(self.rank, int) or isinstance(self.rank, bool) or self.rank < 1:
            raise ConfigError(f"lora: rank={self.rank!r} is wrong; give a whole number of at least 1")
        if not self.patterns or not all(isinstance(pattern, str) for pattern in self.patterns):
            raise ConfigError(
                f"lora: {self.patterns!r} are no patterns of paths; give strings such as '**/attention/**'"
            )
        inherit_dtype(self)

    @property
    def in_dtype(self) -> Any:
        """The model's."""
        return self.model.in_dtype

    @property
    def in_shape(self) -> Shape | None:
        """The model's."""
        return self.model.in_shape

    def in_types(self, shape: Shape) -> Any:
        """The model's."""
        return self.model.in_types(shape)

    def children(self, shape: Shape) -> dict:
        """The model."""
        return {"model": (self.model, shape)}

    def weights(self, shape: Shape) -> dict:
        """Two factors for each chosen kernel."""
        tree: dict = {}
        for path, spec in self._chosen(shape):
            inputs, outputs = _sides(spec)
            factors = {
                "a": replace(spec, shape=(inputs, self.rank), initializer="he_uniform", **_PLAIN),
                "b": replace(spec, shape=(self.rank, outputs), initializer="zeros", **_PLAIN),
            }
            branch = tree
            for name in path.split("/"):
                branch = branch.setdefault(name, {})
            branch.update(factors)
        return {"lora": tree}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Run the model with the merged weights."""
        out = ctx.run("model", self.model, {"model": self.merge(params)}, x, ctx.mask)
        return Out(out.y, mask=out.mask)

    def attach(self, rng: Key, params: Params, shape: Sizes = None) -> dict[str, Any]:
        """Params of this layer: those of the model, the same arrays, and new factors, with which nothing changes.

        Arguments:
            rng: a random key, for the factors a.
            params: of the model.
            shape: of the input; None: the model's own, or one that the weights suggest.
        """
        check_key(self, rng)
        if not isinstance(params, Mapping):
            raise MissingError(f"lora: attach takes the params of the model, a dict, got {brief(params)}")
        shape = suggested_shape(self.model, params) if shape is None else canonical(shape)
        if shape is None:
            raise MissingError(
                f"lora: the weights do not tell the shape of the input of {brief(self.model)}; write "
                "attach(rng, params, x.shape)"
            )
        return {"model": params} | initialize({"lora": self._declared(shape)["lora"]}, rng, Param)

    def merge(self, params: Params) -> dict[str, Any]:
        """Params of the model alone, with what was learned added to its kernels. Params of this layer go in."""
        if not isinstance(params, Mapping) or "model" not in params:
            raise MissingError(
                f"lora: merge takes the params of the whole, {{'model': ..., 'lora': ...}}, got {brief(params)}; "
                "attach(rng, params) makes them"
            )
        return _added(params["model"], params.get("lora", {}), self._scale)

    def _chosen(self, shape: Shape) -> list[tuple[str, Param]]:
        """The kernels that the patterns name, by path."""
        specs = [(path, spec) for path, spec in spec_items(self.model.specs(shape)) if isinstance(spec, Param)]
        kernels = {path: spec for path, spec in specs if spec.decays and min(_sides(spec), default=0) > self.rank}
        chosen: set[str] = set()
        for pattern in self.patterns:
            matches = {path for path in kernels if _names(pattern, path)}
            if not matches:
                those = ", ".join(f"{path} {spec.shape}" for path, spec in kernels.items()) or "none"
                raise ConfigError(
                    f"lora: {pattern!r} matches no kernel whose sides are larger than rank={self.rank}; those are "
                    f"{those}"
                )
            chosen |= matches
        return [(path, spec) for path, spec in kernels.items() if path in chosen]

    @property
    def _scale(self) -> float:
        return 1.0 if self.alpha is None else self.alpha / self.rank


def _names(pattern: str, path: str) -> bool:
    """Whether a pattern names an array, or a layer that holds it."""
    names = path.split("/")
    return any(matches(names[:end], pattern.split("/")) for end in range(1, len(names) + 1))


def _sides(spec: Param) -> tuple[int, ...]:
    """The sizes of a kernel as a matrix: (inputs, outputs); () for what is none."""
    if len(spec.shape) < 2:
        return ()
    axes, split = spec.axes, len(spec.shape) - 1
    if "gates" in axes:  # of a recurrent kernel, which sums over the features that it has put out
        split = axes.index("gates")
    elif "in" in axes[:-1]:
        split = len(axes) - axes[::-1].index("in")
    elif "in" not in axes and "out" in axes[1:]:
        split = axes.index("out")
    return math.prod(spec.shape[:split]), math.prod(spec.shape[split:])


def _added(params: Any, factors: Any, scale: float) -> Any:
    """The params with scale * a @ b added where there are factors."""
    arrays = {path: (array, leaf_at(factors, path.split("/"))) for path, array in paths(params).items()}
    count = sum(own is not None for _, own in arrays.values())
    if 2 * count != len(jax.tree.leaves(factors)):
        raise ConfigError(
            f"lora: factors {', '.join(paths(factors))} do not belong to these params, which have {', '.join(arrays)}"
        )
    merged = [
        array if own is None else _with_product(array, own["a"], own["b"], scale) for array, own in arrays.values()
    ]
    return jax.tree.unflatten(jax.tree.structure(params), merged)


def _with_product(kernel: Any, a: Any, b: Any, scale: float) -> jax.Array:
    """The kernel with scale * a @ b added, summed in at least float32."""
    dtype = accumulation_dtype(kernel.dtype)
    product = jnp.matmul(a.astype(dtype), b.astype(dtype))
    return (kernel.astype(dtype) + scale * product.reshape(kernel.shape)).astype(kernel.dtype)
