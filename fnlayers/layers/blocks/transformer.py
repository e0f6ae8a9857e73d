"""Transformers: blocks of attention and dense layers, all of public layers.

Names and arguments are KerasHub's.
"""

from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import Epsilon
from fnlayers.core.shapes import is_shape, known, shape_of, type_of
from fnlayers.functions.activations import Activation
from fnlayers.functions.initializers import Initializer
from fnlayers.layers.attention.inputs import by_name, step_masks
from fnlayers.layers.attention.multi_head import MultiHeadAttention
from fnlayers.layers.common import check_activation, check_choice, check_count, check_fraction, check_positive
from fnlayers.layers.dense import Dense
from fnlayers.layers.normalization import LayerNormalization
from fnlayers.layers.regularization import Dropout

__all__ = ["TransformerEncoder", "TransformerDecoder"]


@layerclass
class Transformer(Layer):
    """Base of TransformerEncoder and TransformerDecoder: attention, then two dense layers over each step by itself.

    The output of each part is added to its input: y = norm(x + part(x)), or with normalize_first y = x +
    part(norm(x)).

    Arguments:
        intermediate_dim: the width of the first dense layer; the second has the input's features.
        num_heads: the number of heads, which divides the features.
        dropout: the fraction of the attention's weights, and of the output of each part, that is dropped in training.
        activation: of the first dense layer.
        layer_norm_epsilon: added to the variances.
        kernel_initializer, bias_initializer: of attention and dense layers.
        normalize_first: whether to normalize the input of each part, not the sum; deep stacks are easier to train so.
        rotary_wavelength: of the self-attention: see MultiHeadAttention.

    Weights: self_attention, self_attention_layer_norm, feedforward_intermediate_dense, feedforward_output_dense,
        feedforward_layer_norm.
    Random: in training, unless dropout is 0.
    """

    intermediate_dim: int
    num_heads: int
    dropout: float = 0.0
    activation: Activation = "relu"
    layer_norm_epsilon: Epsilon = 1e-5
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    normalize_first: bool = False
    rotary_wavelength: float | None = field(default=None, kw_only=True)

    most_inputs: ClassVar[int] = 1
    dense_pairs: ClassVar[Any] = (("feedforward_intermediate_dense", "feedforward_output_dense"),)
    use_causal_mask = False  # fields of TransformerDecoder
    cache = None

    def check(self) -> None:
        """Positive sizes, a fraction, a known activation, attention that can be made."""
        check_count(self, "intermediate_dim")
        check_positive(self, "layer_norm_epsilon")
        check_count(self, "num_heads")
        check_fraction(self, "dropout")
        check_activation(self, "activation")
        check_choice(self, "normalize_first", (False, True))
        self._self_attention(2 * self.num_heads)

    def check_shape(self, shape: Shape) -> None:
        """A sequence, and for a decoder maybe another one."""
        shapes = (shape,) if is_shape(shape) else shape
        count_fits = is_shape(shape) or (isinstance(shape, tuple) and len(shape) == 2 == self.most_inputs)
        if not count_fits or not all(is_shape(s) and len(s) == 3 for s in shapes):
            also = ", or this and the encoded (batch, steps, any)" if self.most_inputs > 1 else ""
            raise ShapeError(f"{self!r} takes (batch, steps, features){also}; got {shape}")
        features = known(shapes[0], -1, "features")
        if features == 0 or features % self.num_heads:
            raise ShapeError(f"{self!r}: num_heads does not divide the {features} features; give a multiple of it")

    def children(self, shape: Shape) -> dict:
        """The layers of each part, each with the shape of its input."""
        sequence = shape if is_shape(shape) else shape[0]
        features, dtype = known(sequence, -1, "features"), self.dtype
        starts: Any = dict(kernel_initializer=self.kernel_initializer, bias_initializer=self.bias_initializer)
        norm = LayerNormalization(epsilon=self.layer_norm_epsilon, dtype=dtype), sequence
        drop = Dropout(self.dropout, dtype=dtype), sequence
        hidden = Dense(self.intermediate_dim, self.activation, dtype=dtype, **starts), sequence
        output = Dense(features, dtype=dtype, **starts), (*sequence[:-1], self.intermediate_dim)

        def part(name: str, **layers: tuple[Layer, Shape]) -> dict:
            return layers | {f"{name}_layer_norm": norm, f"{name}_dropout": drop}

        layers = part("self_attention", self_attention=(self._self_attention(features), sequence))
        if not is_shape(shape):
            layers |= part("cross_attention", cross_attention=(self._attention(features), shape))
        return layers | part("feedforward", feedforward_intermediate_dense=hidden, feedforward_output_dense=output)

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """The output of each part added to its input."""
        layers = self.children(shape_of(type_of(x)))
        masks = step_masks(self, by_name(x), ctx.mask)
        mask = masks.get("query")
        x, encoded = x if isinstance(x, (tuple, list)) else (x, None)
        if mask is not None:  # the values of masked steps, NaN too, reach no sum, forward or backward
            x = jnp.where(mask[..., None], x, 0)

        def run(name: str, x: Any, mask: Any = None) -> Any:
            return ctx.run(name, layers[name][0], params, x, mask).y

        def added(part: str, x: Any, function: Callable) -> Any:
            norm = f"{part}_layer_norm"
            y = run(f"{part}_dropout", function(run(norm, x) if self.normalize_first else x))
            return x + y if self.normalize_first else run(norm, x + y)

        x = added("self_attention", x, lambda x: run("self_attention", x, mask))
        if encoded is not None:
            x = added("cross_attention", x, lambda x: run("cross_attention", (x, encoded), (mask, masks.get("value"))))
        hidden, output = "feedforward_intermediate_dense", "feedforward_output_dense"
        return Out(added("feedforward", x, lambda x: run(output, run(hidden, x))), mask=mask)

    def _self_attention(self, features: int) -> Layer:
        causal, rotary = self.use_causal_mask, self.rotary_wavelength
        return self._attention(features, use_causal_mask=causal, rotary_wavelength=rotary, cache=self.cache)

    def _attention(self, features: int, **options: Any) -> Layer:
        """Heads with as many features together as the input."""
        return MultiHeadAttention(
            self.num_heads,
            features // self.num_heads,
            dropout=self.dropout,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            dtype=self.dtype,
            **options,
        )


@layerclass
class TransformerEncoder(Transformer):
    """A block in which each step attends to all steps. See `Transformer`.

    Arguments:
        intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon, kernel_initializer, bias_initializer,
            normalize_first, rotary_wavelength: see `Transformer`.

    Shapes: (batch, steps, features) -> the same.
    Mask: used: no step attends to a masked one; passed on.

    Reference: Vaswani et al., Attention Is All You Need, 2017.

    Example:
        >>> TransformerEncoder(64, num_heads=4).out_shape((None, 10, 32))
        (None, 10, 32)
    """


@layerclass
class TransformerDecoder(Transformer):
    """A block in which no step attends to later ones, and with a second input each attends to all of that.

    See `Transformer`. With one input it is the block of a language model.

    Arguments:
        intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon, kernel_initializer, bias_initializer,
            normalize_first, rotary_wavelength: see `Transformer`.
        use_causal_mask: whether no step attends to later ones.
        cache: of the self-attention, for generation: see MultiHeadAttention and `fnlayers.cached`. The second input is
            given again in each run.

    Shapes: x (batch, steps, features), or (x, encoded), with encoded (batch, any, any) -> as x.
    Weights: also cross_attention, cross_attention_layer_norm, behind those of the self-attention, with two inputs.
    State: with cache: that of self_attention.
    Mask: used: no step attends to a masked one of x, or of encoded; that of x is passed on.

    Reference: Vaswani et al., Attention Is All You Need, 2017; Radford et al., Improving Language Understanding by
        Generative Pre-Training, 2018.

    Example:
        >>> block = TransformerDecoder(64, num_heads=4, normalize_first=True)
        >>> block.out_shape((None, 10, 32)), block.out_shape(((None, 10, 32), (None, 7, 16)))
        ((None, 10, 32), (None, 10, 32))
    """

    use_causal_mask: bool = field(default=True, kw_only=True)
    cache: int | None = field(default=None, kw_only=True)

    most_inputs: ClassVar[int] = 2
