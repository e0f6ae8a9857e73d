"""Which algorithms run for a layer on each platform, and why: `explain`."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from fnlayers import plain_data
from fnlayers.ops import program, record
from fnlayers.ops.compose import is_reference
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.problem import HAS_YNNPACK
from fnlayers.ops.record import PLATFORMS, Dispatched, Platform

REFERENCES = {
    "dot": "lax.dot_general",
    "attention": "a product, a masked softmax and a product",
    "scan": "lax.scan, after the projection of x of all steps",
    "scan_dense": "lax.scan, after the projection of x of all steps",
    "conv": "lax.conv_general_dilated",
    "conv_transpose": "lax.conv_general_dilated",
    "max_pool": "lax.reduce_window",
    "sum_pool": "lax.reduce_window",
    "mean_operand": "computed with the mean that reads it",
    "gradient_once": "computed with what reads it",
}
PASSES = {
    "forward": "forward",
    "training": "forward in training",
    "input_gradient": "gradient of the input",
    "kernel_gradient": "gradient of the kernel",
}
POOLS = ("max_pool", "sum_pool")  # which have no kernel
CONVOLUTIONS = ("conv", "conv_transpose")
PRODUCTS = {
    True: "it is faster for products of many rows, and of features before the batch",
    False: "it is faster for products of few rows",
}


class Traceable(Protocol):
    """What can be explained: layers and models."""

    def _trace(self, shape: Any) -> None: ...


class Choice(NamedTuple):
    """What runs for one operation.

    Arguments:
        path: the names from the model to the layer, as in params; "" is the model itself.
        operation: its name in `ops.reference`; "products" for all matrix products of the program.
        number: which of the layer's operations of that name, from 1; those that run alike count once.
        programs: the platforms, and for CPUs whose jit compiles where that matters: "cpu with fl.jit" (as fit and
            make_step do), "cpu with jax.jit".
        algorithms: (pass, algorithm), where it is not the reference.
        because: (algorithm, what the reference does worse).
        passes: the passes of the operation.
    """

    path: str
    operation: str
    number: int
    programs: str
    algorithms: tuple[tuple[str, str], ...] = ()
    because: tuple[tuple[str, str], ...] = ()
    passes: tuple[str, ...] = ()

    @property
    def names(self) -> str:
        """What runs in which pass, in a line."""
        plain, algorithms = REFERENCES.get(self.operation, "the reference"), dict(self.algorithms)
        if not algorithms:
            return plain
        by_name: dict[str, list[str]] = {}
        for which in self.passes:
            by_name.setdefault(algorithms.get(which, plain), []).append(which)
        if len(self.passes) == 1:
            return next(iter(by_name))
        if len(by_name) == 1:
            return f"{next(iter(by_name))} in all passes"
        return "; ".join(f"{_passes(which)}: {name}" for name, which in by_name.items())

    @property
    def brief(self) -> str:
        """The algorithms alone: "reference, row_tiles" where a gradient alone has another one."""
        algorithms = dict(self.algorithms)
        return ", ".join(dict.fromkeys(algorithms.get(which, "reference") for which in self.passes))

    def __str__(self) -> str:
        return "\n".join([f"  {self.programs}: {self.names}", *(f"    {n}: {why}" for n, why in self.because)])


@dataclass(frozen=True, repr=False)
class Explanation:
    """The choices for each operation that may run by several algorithms, in the order in which layers run."""

    choices: tuple[Choice, ...]

    def brief(self, platform: str) -> dict[str, str]:
        """What runs on a platform, as `fl.jit` compiles for it, in a line for each path: "dot: one_matrix_product"."""
        by_path: dict[str, list[tuple[str, str]]] = {}
        for choice in self.choices:
            programs = choice.programs.split(", ")
            if choice.operation != "products" and {platform, f"{platform} with fl.jit"} & {*programs}:
                by_path.setdefault(choice.path, []).append((choice.operation, choice.brief))
        texts = {path: dict.fromkeys(f"{name}: {brief}" for name, brief in pairs) for path, pairs in by_path.items()}
        return {path: "; ".join(lines) for path, lines in texts.items()}

    def __str__(self) -> str:
        lines, last = [], None
        for choice in self.choices:
            if choice[:3] != last:
                number = f" {choice.number}" if choice.number > 1 else ""
                lines.append(f"{choice.path} {choice.operation}{number}".strip())
                last = choice[:3]
            lines.append(str(choice))
        return "\n".join(lines) or "there is nothing to choose from: XLA compiles the operations of jax.numpy"

    __repr__ = __str__


def explain(layer: Traceable, shape: Any, platform: Platform | None = None) -> Explanation:
    """Which algorithm runs for each operation of a layer or model, forward and backward, and why.

    Arguments:
        layer: a layer or a model.
        shape: of its input, as for `layer.init`, but with all sizes: they decide.
        platform: "cpu", "cuda" or "tpu"; None: all three. On CPUs what `fl.jit` compiles (and `fit`, `make_step`,
            `evaluate`, `predict`) may differ from what `jax.jit` does. What is said of CUDA holds for programs that are
            compiled where there is such a GPU; those exported from elsewhere hold the reference.

    Nothing is computed: the layer is traced in training, and the choices of its trace are written down. Operations
    within others, such as the convolutions of a recurrent layer's steps, have lines of their own where an algorithm is
    taken for them. An operation without other algorithms than its reference is not listed.

    >>> import fnlayers as fl
    >>> print(fl.ops.explain(fl.Conv2D(64, 1), (8, 56, 56, 32)))
    conv
      cpu: pointwise in all passes
        pointwise: XLA's CPU backend runs a 1x1 window as a convolution, 1.5 to 12 times as long as the product
      cuda, tpu: lax.conv_general_dilated
    products
      cpu with fl.jit: XLA's own code
        XLA's own code: it is faster for products of many rows, and of features before the batch
    """
    if platform is not None and platform not in PLATFORMS:
        raise ValueError(plain_data.choices("platform", platform, PLATFORMS))
    wanted = PLATFORMS if platform is None else (platform,)
    recorded = program.Program()
    ours, theirs = _dispatched(layer, shape, recorded), _dispatched(layer, shape, None)
    choices: list[Choice] = []
    listed: dict[Any, list[list[Choice]]] = {}
    for key, each in ours.items():
        alternatives, before = list(_choices(each, theirs.get(key, each), wanted)), listed.setdefault(key[:2], [])
        if alternatives and alternatives not in before:
            before.append(alternatives)
            choices += [choice._replace(number=len(before)) for choice in alternatives]
    if HAS_YNNPACK and "cpu" in wanted and (recorded.products or recorded.needs_xla_products):
        choices.append(_products(recorded))
    return Explanation(tuple(choices))


def _dispatched(layer: Traceable, shape: Any, traced: program.Program | None) -> dict[Any, Dispatched]:
    """What is dispatched in such a program for a CPU, by the layer's path, the operation, and which of those it is."""
    written, seen, by_key = record.Record(), Counter[Any](), {}
    with program.traced(traced), record.written(written):
        layer._trace(shape)
    for each in written.dispatched:
        key = each.path, each.problem.operation
        seen[key] += 1
        by_key[*key, seen[key]] = each
    return by_key


def _choices(ours: Dispatched, theirs: Dispatched, wanted: tuple[str, ...]) -> Iterator[Choice]:
    """A choice for each group of programs that run the same."""
    by_program = {"cpu with fl.jit": _choice(ours, "cpu"), "cpu with jax.jit": _choice(theirs, "cpu")}
    if by_program["cpu with fl.jit"] == by_program["cpu with jax.jit"]:
        by_program = {"cpu": by_program["cpu with fl.jit"]}
    by_program |= {name: _choice(ours, name) for name in PLATFORMS[1:]}
    by_program = {name: choice for name, choice in by_program.items() if name.split()[0] in ours.platforms}
    if ours.is_inner and not any(choice.algorithms for choice in by_program.values()):
        return
    groups: dict[Choice, list[str]] = {}
    for name, choice in by_program.items():
        if name.split()[0] in wanted:
            groups.setdefault(choice, []).append(name)
    for choice, names in groups.items():
        yield choice._replace(programs=", ".join(names))


def _choice(each: Dispatched, platform: str) -> Choice:
    """What runs on a platform."""
    operation, rows = each.problem.operation, dict(dict(each.rows).get(platform, ()))
    fast_rows = {which: row for which, row in rows.items() if not is_reference(each.problem, {which: row})}
    if "forward" in fast_rows and "training" not in rows:
        fast_rows["training"] = fast_rows["forward"]
    passes = tuple(which for which in PASSES if operation not in POOLS or which != "kernel_gradient")
    if operation not in (*POOLS, *CONVOLUTIONS) and "training" in fast_rows:
        fast_rows |= dict.fromkeys(passes[2:], fast_rows["training"])  # differentiated as it is written
    path = "/".join(name for name in each.path if isinstance(name, str))
    reasons = {row.name: row.because for row in fast_rows.values()}
    algorithms = tuple((which, fast_rows[which].name) for which in passes if which in fast_rows)
    return Choice(path, operation, 1, "", algorithms, tuple(reasons.items()), passes)


def _products(recorded: program.Program) -> Choice:
    """Whose code the matrix products of a program are, which `fl.jit` chooses for all of them."""
    from fnlayers.ops.cpu.table import prefers_xla_products  # imported with the tables: see compose.tables

    prefers_xla = prefers_xla_products(recorded, Limits())
    name = "XLA's own code" if prefers_xla else "YNNPACK"
    reasons = ((name, PRODUCTS[prefers_xla]),)
    return Choice("", "products", 1, "cpu with fl.jit", (("forward", name),), reasons, ("forward",))


def _passes(which: list[str]) -> str:
    return ", ".join(PASSES[name] for name in which)
