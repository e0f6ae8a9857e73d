"""Which algorithms run for a layer on each platform, and why: `explain`."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from fnlayers.ops import program, record, reference

PLATFORMS = ("cpu", "cuda", "tpu")
REFERENCES = {
    "conv": "lax.conv_general_dilated",
    "conv_transpose": "lax.conv_general_dilated",
    "max_pool": "lax.reduce_window",
    "sum_pool": "lax.reduce_window",
}
PASSES = {
    "forward": "forward",
    "training": "forward in training",
    "input_gradient": "gradient of the input",
    "kernel_gradient": "gradient of the kernel",
}


class Traceable(Protocol):
    """What can be explained: layers and models."""

    def _trace(self, shape: Any) -> None: ...


class Choice(NamedTuple):
    """What runs for one operation.

    Arguments:
        path: the names from the model to the layer, as in params; "" is the model itself.
        operation: its name in `ops.reference`.
        programs: the platform, and on CPUs whose jit compiles: "cpu, fl.jit" (as fit and make_step do), "cpu, jax.jit".
        algorithms: (pass, algorithm), where it is not the reference.
        because: (algorithm, what the reference does worse).
    """

    path: str
    operation: str
    programs: str
    algorithms: tuple[tuple[str, str], ...] = ()
    because: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        plain = REFERENCES.get(self.operation, "the reference")
        if not self.algorithms:
            return f"  {self.programs}: {plain}"
        whole = {name for which, name in self.algorithms}
        if len(whole) == 1 and len(self.algorithms) == len(PASSES):
            said = f"{whole.pop()} in all passes"
        else:
            said = "; ".join(f"{PASSES[which]}: {name}" for which, name in self.algorithms)
            said += "; else the reference" if len(self.algorithms) < len(PASSES) else ""
        return "\n".join([f"  {self.programs}: {said}", *(f"    {name}: {reason}" for name, reason in self.because)])


@dataclass(frozen=True, repr=False)
class Explanation:
    """The choices for each operation that has algorithms besides its reference, in the order in which layers run."""

    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        lines, last = [], None
        for choice in self.choices:
            if (choice.path, choice.operation) != last:
                lines.append(f"{choice.path} {choice.operation}".strip())
                last = choice.path, choice.operation
            lines.append(str(choice))
        return "\n".join(lines) or "the reference runs everywhere"

    __repr__ = __str__


def explain(layer: Traceable, shape: Any, platform: str | None = None) -> Explanation:
    """Which algorithm runs for each operation of a layer or model, forward and backward, and why.

    Arguments:
        layer: a layer or a model.
        shape: of its input, as for `layer.init`, but with all sizes: they decide.
        platform: "cpu", "cuda" or "tpu"; None: all three. On CPUs what `fl.jit` compiles (and `fit`, `make_step`,
            `evaluate`, `predict`) may differ from what `jax.jit` does.

    Nothing is computed: the layer is traced, and the choices of its trace are written down.

    >>> import fnlayers as fl
    >>> print(fl.ops.explain(fl.Conv2D(64, 1), (8, 56, 56, 32)))
    conv
      cpu: pointwise in all passes
        pointwise: XLA's CPU backend runs a 1x1 window as a convolution, 1.5 to 12 times as long as the product
      cuda, tpu: lax.conv_general_dilated
    """
    if platform is not None and platform not in PLATFORMS:
        raise ValueError(f"platform={platform!r} is not known; choose from {', '.join(map(repr, PLATFORMS))}")
    kinds = {"cpu, fl.jit": program.Program(), "cpu, jax.jit": None}
    found = {kind: _choices(layer, shape, kind, traced) for kind, traced in kinds.items()}
    choices = []
    for ours, theirs in zip(*found.values(), strict=True):
        if platform in (None, "cpu"):
            same = ours._replace(programs="cpu") == theirs._replace(programs="cpu")
            choices += [ours._replace(programs="cpu")] if same else [ours, theirs]
        others = [name for name in PLATFORMS[1:] if platform in (None, name)]
        if others and ours.operation in REFERENCES:
            choices.append(Choice(ours.path, ours.operation, ", ".join(others)))
    return Explanation(tuple(choices))


def _choices(layer: Traceable, shape: Any, kind: str, traced: program.Program | None) -> list[Choice]:
    """A choice for each operation that is dispatched in such a program for a CPU."""
    written = record.Record()
    with program.traced(traced), record.kept(written):
        layer._trace(shape)
    return [_choice(each, kind) for each in written.dispatched]


def _choice(each: record.Dispatched, kind: str) -> Choice:
    path, rows = "/".join(name for name in each.path if isinstance(name, str)), dict(each.rows)
    plain = getattr(reference, each.problem.operation)
    if "forward" not in rows and "training" in rows and rows["training"].passes["training"] is plain:
        del rows["training"]  # the reference in place of the reference
    reasons = {row.name: row.because for row in rows.values()}
    algorithms = tuple((which, rows[which].name) for which in PASSES if which in rows)
    return Choice(path, each.problem.operation, kind, algorithms, tuple(reasons.items()))
