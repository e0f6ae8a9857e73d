"""Initializers: frozen options, called as initializer(key, shape, dtype) for the initial values of a weight.

Nothing random is hidden: the same key, shape and dtype give the same numbers. The distributions are Keras's, the
draws are not. Numbers are drawn in float32 (float64 for float64 weights), then cast, so that float16 and bfloat16
weights are well distributed too.

`seed` keeps Keras's name, yet is not a generator of its own: it is folded into the key. So two weights
with the same key and other seeds differ, and the key still decides.

`INITIALIZERS` is the table of names; `initializer` reads a layer's argument.
"""

from collections.abc import Callable
from typing import Annotated

import jax

from fnlayers.functions.initializers.base import BaseInitializer
from fnlayers.functions.initializers.constant import STFT, Constant, Identity, Ones, Zeros
from fnlayers.functions.initializers.distributions import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from fnlayers.functions.initializers.variance_scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    fans as fans,
)
from fnlayers.functions.options import resolve

Initializer = Annotated[str | Callable[..., jax.Array], lambda value: initializer(value)]  # checked by core.options


def initializer(identifier: Initializer) -> Callable[..., jax.Array]:
    """The initializer that a layer's argument means: a string is a name, a callable (key, shape, dtype) itself.

    >>> initializer("he_normal")
    HeNormal()
    """
    return resolve("initializer", identifier, INITIALIZERS, "(key, shape, dtype)")


# fmt: off
INITIALIZERS: dict[str, type[BaseInitializer]] = {
    "Constant": Constant, "constant": Constant,
    "GlorotNormal": GlorotNormal, "glorot_normal": GlorotNormal,
    "GlorotUniform": GlorotUniform, "glorot_uniform": GlorotUniform,
    "HeNormal": HeNormal, "he_normal": HeNormal,
    "HeUniform": HeUniform, "he_uniform": HeUniform,
    "Identity": Identity, "identity": Identity, "IdentityInitializer": Identity,
    "LecunNormal": LecunNormal, "lecun_normal": LecunNormal,
    "LecunUniform": LecunUniform, "lecun_uniform": LecunUniform,
    "Ones": Ones, "ones": Ones, "one": Ones,
    "Orthogonal": Orthogonal, "orthogonal": Orthogonal, "OrthogonalInitializer": Orthogonal,
    "RandomNormal": RandomNormal, "random_normal": RandomNormal, "normal": RandomNormal,
    "RandomUniform": RandomUniform, "random_uniform": RandomUniform, "uniform": RandomUniform,
    "STFT": STFT, "stft": STFT, "STFTInitializer": STFT,
    "TruncatedNormal": TruncatedNormal, "truncated_normal": TruncatedNormal,
    "VarianceScaling": VarianceScaling, "variance_scaling": VarianceScaling,
    "Zeros": Zeros, "zeros": Zeros, "zero": Zeros,
}
# fmt: on
