"""One compilation of each case, of which the laws compare the parts."""

import contextlib
import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cases import Case, with_policy


class Passes:
    """What one case gives, eagerly (`eager`) and from a single compiled function (`compiled`), each found once.

    Arguments:
        case: the case.
        parts: what is compiled together; other parts are compiled when they are asked for.
    """

    def __init__(self, case: Case, parts: Collection[str] = ()) -> None:
        self.parts = parts or PARTS
        self.case, self.x, self.params, self.state = case, case.inputs(), case.params, case.state
        self.masks, self.key = case.masks, jax.random.key(7)
        self.floats, self.rest = split(self.x)
        self.traced: dict[Any, Any] = {}

    def run(
        self, params: Any, floats: Any, key: Any = None, train: bool = False, layer: Any = None, state: Any = None
    ) -> Any:
        """A pass as a function of what may be differentiated or mapped: params, floating inputs, key."""
        context = dict(
            state=self.state if state is None else state, rng=key if train else None, mask=self.masks, train=train
        )
        return (layer or self.case.layer).run(params, merge(floats, self.rest), **context)

    def objective(self, params: Any, floats: Any, key: Any = None, train: bool = False) -> Any:
        """A scalar that every output and loss moves."""
        return self.measured(self.run(params, floats, key, train))

    def measured(self, out: Any) -> Any:
        """The scalar, of what a pass returned."""
        leaves = [a for a in jax.tree.leaves(out.y) if jnp.issubdtype(a.dtype, jnp.floating)]
        terms = [
            jnp.sum((a * w).astype("float32")) for a, w in zip(leaves, self.case.like_outputs(leaves), strict=True)
        ]
        return sum([*terms, *out.losses], jnp.float32(0))

    @functools.cached_property
    def eager(self) -> dict[str, Any]:
        return {
            "run": self.run(self.params, self.floats),
            "train": self.run(self.params, self.floats, self.key, train=True),
        }

    @functools.cached_property
    def compiled(self) -> Mapping[str, Any]:
        parts = PartByPart(self)
        with contextlib.suppress(Exception):  # of one part: the laws of the others hold all the same
            parts.update(self.compile(self.parts))
        return parts

    def compile(self, names: Collection[str]) -> dict[str, Any]:
        """The parts of `everything` with these names, from one compiled function."""

        def parts(*point: Any) -> dict[str, Any]:
            return {name: part() for name, part in self.everything(*point).items() if name in names}

        return jax.jit(parts)(self.params, self.floats, self.key)

    def everything(self, params: Any, floats: Any, key: Any) -> dict[str, Callable[[], Any]]:
        """All that the laws compare. Where a transform maps over two points, the second is this case's own."""
        point = (params, floats)
        tangent = self.case.like_outputs(point, "tangent")
        train = functools.partial(self.objective, key=key, train=True)
        gradients = functools.cache(lambda: jax.grad(train, (0, 1))(*point))
        other_first = functools.partial(jax.tree.map, lambda a: jnp.stack([a * 0.5, a]))
        keys = jnp.stack([jax.random.key(8), key])

        def recomputed(floats: Any) -> Any:
            return jax.grad(jax.checkpoint(train), (0, 1))(params, floats)

        return {
            "run": lambda: self.run(params, floats),
            "train": lambda: self.run(params, floats, key, train=True),
            "gradients": gradients,
            "vjp": lambda: dot(gradients(), tangent),
            "jvp": lambda: jax.jvp(train, point, tangent)[1],
            "scan": lambda: jax.lax.scan(lambda c, f: (c, self.run(params, f).y), 0, other_first(floats), length=2)[1],
            "vmap over inputs": lambda: over(lambda f: self.run(params, f).y, other_first(floats)),
            "vmap over params": lambda: over(lambda p: self.run(p, floats).y, other_first(params)),
            "vmap over keys": lambda: over(lambda k: self.run(params, floats, k, train=True).y, keys),
            # at 0 and at 1, where all inputs tie; far out, where functions saturate; and at the case's own inputs
            "remat": lambda: over(
                recomputed, jax.tree.map(lambda a: jnp.stack([a * 0, a * 0 + 1, a * 100, a]), floats)
            ),
        }

    def training(self, policy: str, strict: bool = True) -> tuple[Any, Any]:
        """The training pass under a dtype policy, as a traced program, and (out, gradients, residuals) as shapes.

        Traced once for all laws that ask; strictly, so that no two dtypes meet without a cast.
        """
        if (policy, strict) not in self.traced:
            layer, params, state = self.under(policy)

            def passed(params: Any, floats: Any, state: Any) -> Any:
                def summed(params: Any, floats: Any) -> Any:
                    out = self.run(params, floats, self.key, True, layer, state)
                    return jax.tree.map(lambda a: a.astype("float32").sum(), (out.y, out.losses)), out

                y, back, out = jax.vjp(summed, params, floats, has_aux=True)
                return out, back(jax.tree.map(jnp.ones_like, y)), jax.tree.leaves(back)

            with jax.numpy_dtype_promotion("strict" if strict else "standard"):
                self.traced[policy, strict] = jax.make_jaxpr(passed, return_shape=True)(params, self.floats, state)
        return self.traced[policy, strict]

    def under(self, policy: str) -> tuple[Any, Any, Any]:
        """The layer under a dtype policy, and its params and state as shapes."""
        layer = with_policy(self.case.layer, policy)
        return layer, *jax.eval_shape(
            lambda key: (layer.init(key, self.case.shape), layer.init_state(self.case.shape)), self.key
        )


PARTS_OF_PARITY = ("run", "train", "gradients")
PARTS = ("run", "train", "gradients", "vjp", "jvp", "scan", "vmap over inputs", "vmap over params", "vmap over keys", "remat")  # fmt: skip


class PartByPart(dict):
    """The parts of a case; those that are not there yet are compiled one by one, when they are asked for."""

    def __init__(self, passes: Passes) -> None:
        self.passes = passes

    def __missing__(self, name: str) -> Any:
        self[name] = self.passes.compile((name,))[name]
        return self[name]


def over(function: Any, stacked: Any) -> Any:
    """The function mapped over stacked arrays; None where there are none."""
    return jax.vmap(function)(stacked) if jax.tree.leaves(stacked) else None


def split(x: Any) -> tuple[Any, Any]:
    """The floating arrays of a nest and the others, each with None where the other has an array."""
    floating = [np.issubdtype(a.dtype, np.floating) for a in jax.tree.leaves(x)]
    leaves, structure = jax.tree.flatten(x)
    one = [jnp.asarray(a) if f else None for a, f in zip(leaves, floating, strict=True)]
    other = [None if f else a for a, f in zip(leaves, floating, strict=True)]
    return jax.tree.unflatten(structure, one), jax.tree.unflatten(structure, other)


def merge(one: Any, other: Any) -> Any:
    return jax.tree.map(lambda a, b: b if a is None else a, one, other, is_leaf=lambda a: a is None)


def dot(a: Any, b: Any) -> Any:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum((jnp.vdot(p.astype("float32"), q.astype("float32")) for p, q in pairs), jnp.float32(0))


def close(got: Any, wanted: Any, **tolerance: Any) -> None:
    """Assert that two nests have one structure, the same dtypes, and values as near as the case demands."""
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for (path, a), b in zip(jax.tree_util.tree_flatten_with_path(got)[0], jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape, (path, a, b)
        where = jax.tree_util.keystr(path)
        np.testing.assert_allclose(as_numpy(a), as_numpy(b), **(tolerance or dict(rtol=0, atol=0)), err_msg=where)


def as_numpy(a: Any) -> np.ndarray:
    a = np.asarray(a)
    return a.astype("float32") if a.dtype.kind == "V" or a.dtype.itemsize < 4 and a.dtype.kind == "f" else a
