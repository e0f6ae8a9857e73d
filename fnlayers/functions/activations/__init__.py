"""Activations: functions of an array that keep its shape (`glu` halves one axis) and its dtype.

Names, arguments, defaults and float32 numbers are Keras's, gradients at kinks and ties included. Functions over an
axis (softmax, log_softmax, sparsemax) compute in float32 when the input is float16 or bfloat16.
`ACTIVATIONS` is the table of names; `activation` reads a layer's argument.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fnlayers.functions.activations.elementwise import (
    celu,
    elu,
    exponential,
    gelu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    legacy_hard_sigmoid,
    linear,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)
from fnlayers.functions.activations.over_axes import glu, legacy_sparsemax, log_softmax, softmax, sparsemax
from fnlayers.functions.options import check_home, look_up, refused

Activation = Annotated[str | Callable[..., Any] | None, lambda value: activation(value)]  # checked by core.options


def activation(identifier: Activation) -> Callable[..., Any]:
    """The function that a layer's argument means: None is `linear`, a string a name, a callable itself.

    >>> activation("swish") is silu, activation(None) is linear
    (True, True)
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return look_up("activation", identifier, ACTIVATIONS)
    if not callable(identifier):
        raise refused("activation", identifier, "of one array")
    check_home("activation", identifier)
    return identifier


ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "celu": celu,
    "elu": elu,
    "exponential": exponential,
    "gelu": gelu,
    "glu": glu,
    "hard_shrink": hard_shrink,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "hard_tanh": hard_tanh,
    "leaky_relu": leaky_relu,
    "legacy_hard_sigmoid": legacy_hard_sigmoid,  # not in Keras 3: the hard_sigmoid of Keras 1 and 2
    "legacy_sparsemax": legacy_sparsemax,  # not in Keras: its own sparsemax by another name
    "linear": linear,
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "soft_shrink": soft_shrink,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "sparsemax": sparsemax,
    "squareplus": squareplus,
    "swish": silu,
    "tanh": tanh,
    "tanh_shrink": tanh_shrink,
    "threshold": threshold,
}
