"""How many bytes the arrays of a traced program hold at once, on each device: counted, with nothing compiled.

XLA writes an array to memory where an operation that is no arithmetic by element returns it, or where several read
what is expensive to compute twice; all else is computed within what reads it. An array is freed after its last reader.
So the trace, its operations in order, tells what is alive when, but for what a compiler's schedule changes.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jax.extend.core import Literal

from fnlayers.training import split_axes
from fnlayers.training.split_axes import Axes

# They return the array that they read
_VIEWS = frozenset(
    {
        "reshape",
        "squeeze",
        "expand_dims",
        "optimization_barrier",
        "sharding_constraint",
        "name",
        "pvary",
        "reshard",
    }
)
_CONSTANTS = frozenset({"broadcast_in_dim", "iota", "empty", "empty2"})  # computed wherever they are read
_CHEAP = frozenset({
    "abs", "add", "add_any", "and", "ceil", "clamp", "concatenate", "convert_element_type", "copy", "div",
    "dynamic_slice", "eq", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "lt", "max", "min", "mul", "ne",
    "neg", "not", "or", "pad", "rem", "rev", "round", "select_n", "shift_left", "shift_right_logical", "sign", "slice",
    "square", "sub", "transpose", "xor",
})  # fmt: skip
_EXPENSIVE = frozenset({
    "cos", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "log", "log1p", "logistic", "pow", "rsqrt", "sin", "sqrt",
    "tan", "tanh",
})  # fmt: skip
_REDUCTIONS = frozenset(
    {"argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum"}
)
_ARITHMETIC = _CONSTANTS | _CHEAP | _EXPENSIVE | _REDUCTIONS
# What a loop carries, and what it adds to, stays in its memory
_IN_PLACE = frozenset({"scan", "while", "scatter", "scatter-add", "scatter_add", "dynamic_update_slice"})


class Live(NamedTuple):
    """The arrays alive at once where most bytes are.

    Arguments:
        bytes: of all that the program makes, results among them; what it is given does not count.
        arrays: (shape on a device, dtype, bytes, operation) of each, the largest first.
    """

    bytes: int
    arrays: tuple[tuple[tuple[int, ...], str, int, str], ...]


class Value:
    """An array of the program.

    Arguments:
        aval: its type.
        axes: the axes of the mesh that each of its axes is split over.
        number: what a scalar is known to be; of the platform's number alone.
    """

    __slots__ = ("aval", "axes", "number")

    def __init__(self, aval: Any, axes: Axes | None = None, number: int | None = None) -> None:
        self.aval, self.number = aval, number
        self.axes = ((),) * len(getattr(aval, "shape", ())) if axes is None else axes


class Operation:
    """An operation on values: what it reads, what it returns, and the bytes that it holds besides."""

    __slots__ = ("body", "carried", "extra", "name", "reads", "returns")

    def __init__(self, name: str, reads: list, returns: list, extra: int = 0) -> None:
        self.name, self.reads, self.returns, self.extra = name, reads, returns, extra
        self.body: Program | None = None  # of a loop
        self.carried = (0, 0)  # the numbers of its constants and of what it carries


class Program:
    """The operations of a traced program in order, calls within calls among them.

    Arguments:
        jaxpr: the trace.
        axes: of each input.
        sizes: the number of devices along each axis of the mesh.
        rows: (how many examples a batch has, the axes of the mesh that they are split over).
        platform: for which platform's branches.
        numbers: of each input, if it is the platform's number.
    """

    def __init__(
        self,
        jaxpr: Any,
        axes: Sequence[Axes | None],
        sizes: dict[str, int],
        rows: tuple[int, tuple[str, ...]],
        platform: str,
        numbers: Sequence[int | None] = (),
    ) -> None:
        self.sizes, self.rows, self.platform = sizes, rows, platform
        self.operations: list[Operation] = []
        known = [*numbers, *[None] * (len(jaxpr.invars) - len(numbers))]
        self.inputs = [Value(v.aval, a, n) for v, a, n in zip(jaxpr.invars, axes, known, strict=True)]
        values = dict(zip(jaxpr.invars, self.inputs, strict=True)) | {v: Value(v.aval) for v in jaxpr.constvars}
        self._walk(jaxpr, values)
        self.results = [self._read(v, values) for v in jaxpr.outvars]

    def bytes_of(self, value: Value) -> int:
        """On one device."""
        return math.prod(self.shape(value)) * _itemsize(value.aval)

    def shape(self, value: Value) -> tuple[int, ...]:
        """Of its part on one device."""
        parts = (math.prod(self.sizes[name] for name in names) for names in value.axes)
        return tuple(-(-size // part) for size, part in zip(getattr(value.aval, "shape", ()), parts, strict=True))

    def split_results(self, axes: Sequence[Axes]) -> int:
        """Say how the first results are split, as params are, where a loop stacks them.

        Within the loop each is whole for a moment. The bytes of the others, which come as they come, are returned.
        """
        outputs = {id(value): each for each in self.operations for value in each.returns}
        others = 0
        for result, wanted in zip(self.results, axes, strict=False):
            value = _whole(result)
            operation = outputs.get(id(value))
            body, carries = (None, 0) if operation is None else (operation.body, operation.carried[1])
            position = -1 if operation is None else operation.returns.index(value)
            if body is None or position < carries or value.aval.shape != result.aval.shape:
                others += self.bytes_of(value)
                continue
            inner, before = _whole(body.results[position]), self.bytes_of(body.results[position])
            value.axes = wanted
            for each in body.operations:
                if inner in each.returns and len(inner.axes) == len(wanted) - 1:
                    each.extra += before
        return others

    def _read(self, variable: Any, values: dict) -> Value:
        return Value(variable.aval) if isinstance(variable, Literal) else values[variable]

    def _walk(self, jaxpr: Any, values: dict) -> None:
        for equation in jaxpr.eqns:
            name, params = equation.primitive.name, equation.params
            reads = [self._read(v, values) for v in equation.invars]
            if name == "platform_index":
                platforms = params["platforms"]
                here = [i for i, names in enumerate(platforms) if names is None or self.platform in names]
                values[equation.outvars[0]] = Value(equation.outvars[0].aval, None, here[0])
            elif name == "cond":
                branch = self._branch(params["branches"], reads)
                self._call(branch.jaxpr, reads[1:], equation.outvars, values)
            elif name == "scan":
                self._loop(equation, reads, values)
            elif name == "while":
                self._while(equation, reads, values)
            elif (inner := _inner(params)) is not None:
                self._call(getattr(inner, "jaxpr", inner), reads, equation.outvars, values)
            elif name in _VIEWS and len(reads) == len(equation.outvars):
                for v, value in zip(equation.outvars, reads, strict=True):
                    values[v] = self._view(value, v.aval, name, params)
            else:
                self._add(equation, reads, values)

    def _branch(self, branches: Sequence, reads: list[Value]) -> Any:
        """The one that this platform takes; where the program chooses, the one that needs most."""
        if reads[0].number is not None:
            return branches[min(reads[0].number, len(branches) - 1)]
        axes = [value.axes for value in reads[1:]]
        return max(branches, key=lambda b: Program(b.jaxpr, axes, self.sizes, self.rows, self.platform).live().bytes)

    def _call(self, jaxpr: Any, reads: list[Value], outvars: Sequence, values: dict) -> None:
        inner = dict(zip(jaxpr.invars, reads, strict=True)) | {v: Value(v.aval) for v in jaxpr.constvars}
        self._walk(jaxpr, inner)
        values.update((v, self._read(w, inner)) for v, w in zip(outvars, jaxpr.outvars, strict=True))

    def _view(self, value: Value, aval: Any, name: str, params: dict) -> Value:
        axes = split_axes.of_results(name, params, [value], [aval], self.rows)[0]
        return _View(value, aval, axes)

    def _add(self, equation: Any, reads: list[Value], values: dict) -> None:
        avals = [v.aval for v in equation.outvars]
        name, params = equation.primitive.name, equation.params
        axes = split_axes.of_results(name, params, reads, avals, self.rows)
        returns = [Value(aval, a) for aval, a in zip(avals, axes, strict=True)]
        gathered = [self._gathered(value, returns) for value in reads] if name == "dot_general" else []
        self.operations.append(Operation(name, [_whole(v) for v in reads], returns, sum(gathered)))
        values.update(zip(equation.outvars, returns, strict=True))

    def _gathered(self, value: Value, returns: list[Value]) -> int:
        """The bytes of a whole array that is split over axes over which the product's rows are."""
        taken = {name for names in returns[0].axes[:1] for name in names}
        others = tuple(tuple(n for n in names if n not in taken) for names in value.axes)
        is_split = any(name in taken for names in value.axes[1:] for name in names)
        by_rows = bool(value.axes) and taken <= set(value.axes[0])
        return self.bytes_of(Value(value.aval, others)) if is_split and not by_rows else 0

    def _loop(self, equation: Any, reads: list[Value], values: dict) -> None:
        params = equation.params
        jaxpr, constants, carries = params["jaxpr"].jaxpr, params["num_consts"], params["num_carry"]
        axes = [value.axes for value in reads[: constants + carries]]
        axes += [_slices(value, self.sizes) for value in reads[constants + carries :]]
        numbers = [value.number for value in reads[:constants]]
        for _ in range(2):  # what the body returns is what it is given the next time
            body = Program(jaxpr, axes, self.sizes, self.rows, self.platform, numbers)
            carried = [value.axes for value in body.results[:carries]]
            axes[constants : constants + carries] = carried
        returns = [Value(v.aval, a) for v, a in zip(equation.outvars, carried, strict=False)]
        returns += [
            Value(v.aval, ((), *value.axes))
            for v, value in zip(equation.outvars[carries:], body.results[carries:], strict=True)
        ]
        # Weights that the program is given, and may write to, are copied for a loop
        inputs = {id(value) for value in self.inputs}
        copies = {id(_whole(value)): _whole(value) for value in reads[:constants] if id(_whole(value)) in inputs}
        operation = Operation("scan", [_whole(v) for v in reads], returns, sum(map(self.bytes_of, copies.values())))
        operation.body, operation.carried = body, (constants, carries)
        self.operations.append(operation)
        values.update(zip(equation.outvars, returns, strict=True))

    def _while(self, equation: Any, reads: list[Value], values: dict) -> None:
        params = equation.params
        start, constants = params["cond_nconsts"], params["body_nconsts"]
        carried = reads[start:]
        body = Program(params["body_jaxpr"].jaxpr, [v.axes for v in carried], self.sizes, self.rows, self.platform)
        returns = [Value(v.aval, each.axes) for v, each in zip(equation.outvars, carried[constants:], strict=True)]
        self.operations.append(Operation("while", [_whole(v) for v in reads], returns, body.live(body.results).bytes))
        values.update(zip(equation.outvars, returns, strict=True))

    def live(self, stored: Sequence[Value] = (), results: Sequence[Value] | None = None) -> Live:
        """What is alive where most is.

        Arguments:
            stored: results that are written to memory which the caller counts.
            results: those that are used; None: all.
        """
        results = [_whole(value) for value in (self.results if results is None else results)]
        operations = self._used(results)
        return _Alive(self, operations, results, {id(_whole(value)) for value in stored}).most()

    def _used(self, results: Sequence[Value]) -> list[Operation]:
        """The operations that results come from; loops without what nobody reads."""
        needed, used = {id(value) for value in results}, []
        for operation in reversed(self.operations):
            if not any(id(value) in needed for value in operation.returns):
                continue
            if operation.body is not None:
                operation = _trimmed(operation, needed)
            needed.update(id(value) for value in operation.reads)
            used.append(operation)
        return used[::-1]


class _View(Value):
    """Another shape of an array that is there."""

    __slots__ = ("of",)

    def __init__(self, of: Value, aval: Any, axes: Axes) -> None:
        super().__init__(aval, axes, of.number)
        self.of = _whole(of)


def _whole(value: Value) -> Value:
    return value.of if isinstance(value, _View) else value


def _trimmed(operation: Operation, needed: set[int]) -> Operation:
    """A loop that stacks no result that nobody needs, and reads nothing that only those come from."""
    body, (constants, carries) = operation.body, operation.carried
    assert body is not None
    stacked = [
        (value, outputs)
        for value, outputs in zip(operation.returns[carries:], body.results[carries:], strict=True)
        if id(value) in needed
    ]
    results = [*body.results[:carries], *(outputs for _, outputs in stacked)]
    inside = body._used([_whole(value) for value in results])
    read = {id(value) for each in inside for value in each.reads} | {id(_whole(value)) for value in results}
    reads = [
        outer
        for i, (outer, inner) in enumerate(zip(operation.reads, body.inputs, strict=True))
        if id(inner) in read or constants <= i < constants + carries
    ]
    extra = operation.extra + body.live([outputs for _, outputs in stacked], results).bytes
    return Operation(operation.name, reads, [*operation.returns[:carries], *(value for value, _ in stacked)], extra)


class _Alive:
    """What is alive when, of operations in order."""

    def __init__(
        self, program: Program, operations: list[Operation], results: Sequence[Value], stored: set[int]
    ) -> None:
        self.operations, self.bytes_of, self.shape = operations, program.bytes_of, program.shape
        self.stored, self.results = stored, {id(value) for value in results}
        self.products = {id(each.returns[0]) for each in operations if each.name == "dot_general"}
        self.readers: dict[int, list[int]] = {}
        for i, operation in enumerate(operations):
            for value in operation.reads:
                self.readers.setdefault(id(value), []).append(i)
        self.fused = [False] * len(operations)  # into what reads it
        self.last = [0] * len(operations)  # when an operation's result was read by what is written to memory
        for i in reversed(range(len(operations))):
            self._look_at(i)
        self.ends = {key: max(self._end(i) for i in readers) for key, readers in self.readers.items()}
        self.ends.update(dict.fromkeys(self.results, len(operations)))

    def _look_at(self, i: int) -> None:
        operation = self.operations[i]
        readers = [reader for value in operation.returns for reader in self.readers.get(id(value), ())]
        self.last[i] = max([self._end(reader) for reader in readers] or [i])
        if any(id(value) in self.results for value in operation.returns):
            self.fused[i] = all(id(value) in self.stored for value in operation.returns) and not readers
            return
        names = [self.operations[reader].name for reader in readers]
        into_arithmetic = all(name in _ARITHMETIC for name in names)
        if operation.name in _CONSTANTS:
            self.fused[i] = True
        elif operation.name == "transpose" and len(operation.returns[0].axes) < 3:
            self.fused[i] = all(name in _ARITHMETIC or name == "dot_general" for name in names)
        elif operation.name in _CHEAP:
            self.fused[i] = into_arithmetic
        elif operation.name in _EXPENSIVE:
            self.fused[i] = into_arithmetic and len(readers) < 2

    def _end(self, i: int) -> int:
        return self.last[i] if self.fused[i] else i

    def most(self) -> Live:
        """Where most bytes are alive."""
        ending: dict[int, list[int]] = {}
        for key, end in self.ends.items():
            ending.setdefault(end, []).append(key)
        alive: dict[int, tuple[int, Value, str]] = {}
        best, at_best, now = 0, [], 0
        for i, operation in enumerate(self.operations):
            if self.fused[i]:
                continue
            outputs = [v for v in operation.returns if id(v) in self.ends and id(v) not in self.stored]
            sizes = [self.bytes_of(value) for value in outputs]
            during = now + sum(sizes) + operation.extra - self._reused(operation, ending.get(i, ()), alive, sizes)
            if during > best:
                best, at_best = (
                    during,
                    [*alive.values(), *zip(sizes, outputs, [operation.name] * len(outputs), strict=True)],
                )
            for size, value in zip(sizes, outputs, strict=True):
                if self.ends[id(value)] > i:
                    alive[id(value)] = (size, value, operation.name)
                    now += size
            for key in ending.get(i, ()):
                now -= alive.pop(key)[0] if key in alive else 0
        largest = sorted(at_best, key=lambda entry: -entry[0])
        return Live(best, tuple((self.shape(v), str(v.aval.dtype), size, name) for size, v, name in largest))

    def _reused(self, operation: Operation, ending: Sequence[int], alive: dict, sizes: list[int]) -> int:
        """Bytes of what is read for the last time, in whose memory results are written."""
        of_product = operation.name == "transpose" and any(id(value) in self.products for value in operation.reads)
        if operation.name not in _IN_PLACE and not of_product:  # a product is written as its transpose
            return 0
        free, reused = list(sizes), 0
        for key in ending:
            if key in alive and alive[key][0] in free:
                free.remove(alive[key][0])
                reused += alive[key][0]
        return reused


def _slices(value: Value, sizes: dict[str, int]) -> Axes:
    """The axes of what a loop reads at a time; where it goes over parts of a batch, each part is split."""
    first, *axes = value.axes
    parts = math.prod(sizes[name] for name in first)
    for i, size in enumerate(value.aval.shape[1:]):
        if parts > 1 and not axes[i] and size % parts == 0:
            axes[i], parts = first, 1
    return tuple(axes)


def _inner(params: dict) -> Any:
    return next((params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in params), None)


def _itemsize(aval: Any) -> int:
    try:
        return aval.dtype.itemsize
    except AttributeError:  # a token, or a key
        return 8
