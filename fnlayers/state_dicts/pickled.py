"""The pickle inside a file of torch.save, interpreted: data alone come out of it, and nothing is called.

A pickle is a program for a stack machine, and Python's reader runs it: it imports and calls whatever the program names.
This one knows the 40 instructions that dicts of tensors are made of and nine names, each of which stands for a value
below and for no object of Python. Everything else is an error.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fnlayers.core.errors import ConfigError

MOST_OPERATIONS = 2_000_000  # about 40 for a tensor; ten seconds
MOST_AXES = 32

# What a storage holds, by the name of its class. UntypedStorage: bytes, whose meaning the tensor says.
STORAGES: Mapping[str, str] = {
    "torch FloatStorage": "float32", "torch DoubleStorage": "float64", "torch HalfStorage": "float16",
    "torch BFloat16Storage": "bfloat16", "torch LongStorage": "int64", "torch IntStorage": "int32",
    "torch ShortStorage": "int16", "torch CharStorage": "int8", "torch ByteStorage": "uint8",
    "torch BoolStorage": "bool", "torch ComplexFloatStorage": "complex64", "torch.storage UntypedStorage": "bytes",
}  # fmt: skip
DTYPES: Mapping[str, str] = {
    f"torch {name}": name
    for name in (
        "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32",
        "uint64", "bool", "complex64", "float8_e4m3fn", "float8_e5m2",
    )
}  # fmt: skip
CALLS = ("collections OrderedDict", "torch Size", "torch._utils _rebuild_parameter", "torch._utils _rebuild_tensor_v2",
         "torch._utils _rebuild_tensor_v3", "torch device")  # fmt: skip


class Name(NamedTuple):
    """One of the names above, where a pickle would have the object of that name."""

    text: str


class Storage(NamedTuple):
    """Numbers in a member of the zip."""

    member: str
    dtype: str
    count: int


class Tensor(NamedTuple):
    """A view of a storage: where it starts, and how far apart its elements are along each axis, in elements."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """Where a list of values on the stack begins."""


_MARK = _Mark()


def read_pickle(data: bytes) -> Any:
    """What a pickle describes: dicts, lists, tuples, numbers, strings, None and `Tensor`s.

    Raises:
        ConfigError: for an instruction or name that is not in the tables, and for a pickle that is damaged.
    """
    machine = _Machine()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
        if count > MOST_OPERATIONS:
            raise ConfigError(f"the pickle has more than {MOST_OPERATIONS} instructions")
        if opcode.name == "STOP":
            return machine.pop()
        run = _OPERATIONS.get(opcode.name)
        if run is None:
            raise ConfigError(f"the pickle has the instruction {opcode.name}, which dicts of tensors do not need")
        run(machine, argument)
    raise ConfigError("the pickle does not end")


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise ConfigError("the pickle takes a value that is not there")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise ConfigError(f"the pickle fills something that is no {kind.__name__}")
        return self.stack[-1]

    def marked(self) -> list[Any]:
        """The values since the last mark, taken off with it."""
        at = next((i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is _MARK), None)
        if at is None:
            raise ConfigError("the pickle has no mark where it needs one")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def remember(self, index: int) -> None:
        self.memo[index] = self.pop()
        self.push(self.memo[index])

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise ConfigError("the pickle recalls a value that it never stored")
        self.push(self.memo[index])

    def name(self, text: str) -> None:
        if text not in STORAGES and text not in DTYPES and text not in CALLS:
            raise ConfigError(
                f"the file holds a {text.replace(' ', '.')[:120]!r}, and only dicts of tensors, numbers and strings "
                "are read: nothing that a pickle names is called. In PyTorch, save the arrays alone: "
                "safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
            )
        self.push(Name(text))

    def stack_name(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise ConfigError("the pickle names something by no string")
        self.name(f"{module} {name}")

    def put_items(self, values: list[Any]) -> None:
        target = self.top(dict)
        if len(values) % 2:
            raise ConfigError("the pickle gives a dict a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in (str, int, float, bool, type(None)):
                raise ConfigError(f"the pickle has a dict whose key is a {type(key).__name__}")
            if key in target:
                raise ConfigError(f"the pickle has a dict with the key {key!r:.80} twice")
            target[key] = value

    def put_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.put_items([key, value])

    def extend(self, values: list[Any]) -> None:
        self.top(list).extend(values)

    def append(self, _: Any) -> None:
        value = self.pop()
        self.top(list).append(value)

    def build(self, _: Any) -> None:
        """The attributes of an OrderedDict (a state dict's `_metadata`), which say nothing about arrays."""
        attributes = self.pop()
        if type(attributes) is not dict or list(attributes) != ["_metadata"]:
            raise ConfigError("the pickle gives an object attributes")
        self.top(dict)

    def reduce(self, _: Any) -> None:
        arguments, call = self.pop(), self.pop()
        if type(call) is not Name or call.text not in CALLS or type(arguments) is not tuple:
            raise ConfigError("the pickle calls something that is no function")
        self.push(_called(call.text, arguments))

    def persistent(self, _: Any) -> None:
        self.push(_storage(self.pop()))

    def take(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))


def _called(name: str, arguments: tuple[Any, ...]) -> Any:
    if name == "collections OrderedDict" and arguments == ():
        return {}
    if name == "torch Size" and len(arguments) == 1 and type(arguments[0]) in (tuple, list):
        return tuple(arguments[0])
    if name == "torch device" and all(type(argument) in (str, int) for argument in arguments):
        return ":".join(map(str, arguments))
    if name == "torch._utils _rebuild_parameter" and len(arguments) == 3 and type(arguments[0]) is Tensor:
        return arguments[0]
    if name == "torch._utils _rebuild_tensor_v2" and len(arguments) in (6, 7):
        return _tensor(arguments[:4], None)
    if name == "torch._utils _rebuild_tensor_v3" and len(arguments) in (7, 8):
        return _tensor(arguments[:4], next(iter(arguments[6:])))
    raise ConfigError(f"the pickle calls {name.replace(' ', '.')} in a way that PyTorch does not")


def _storage(identity: Any) -> Storage:
    """("storage", its class, the number of its member, the device it was on, how many elements)."""
    if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
        raise ConfigError("the pickle refers to something that is no storage")
    _, kind, member, _, count = identity
    if type(kind) is not Name or kind.text not in STORAGES:
        raise ConfigError("the pickle has a storage of an unknown kind")
    if type(member) is not str or not (member.isascii() and member.isdigit() and len(member) < 10):
        raise ConfigError("the pickle has a storage that is no numbered member of the file")
    if type(count) is not int or count < 0:
        raise ConfigError("the pickle has a storage without a size")
    return Storage(member, STORAGES[kind.text], count)


def _tensor(view: tuple[Any, ...], dtype: Any) -> Tensor:
    """A view (storage, offset, shape, strides), and its dtype where the storage does not say it."""
    storage, offset, shape, strides = view
    whole = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= MOST_AXES
    if type(storage) is not Storage or not whole:
        raise ConfigError("the pickle has a tensor without a storage, a shape or strides")
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in (offset, *shape, *strides)):
        raise ConfigError("the pickle has a tensor whose shape, strides or offset are no sizes")
    name = storage.dtype
    if (dtype is None) is (name == "bytes"):
        raise ConfigError("the pickle has a tensor whose dtype is said twice, or not at all")
    if dtype is not None:
        if type(dtype) is not Name or dtype.text not in DTYPES:
            raise ConfigError("the pickle has a tensor of an unknown dtype")
        name = DTYPES[dtype.text]
    return Tensor(storage, name, offset, shape, strides)


def _nothing(machine: _Machine, _: Any) -> None:
    pass


def _constant(value: Any) -> Callable:
    return lambda machine, _: machine.push(value)


def _push(machine: _Machine, argument: Any) -> None:
    machine.push(argument)


_OPERATIONS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _nothing,
    "FRAME": _nothing,
    "MARK": _constant(_MARK),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_TUPLE": _constant(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _push),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _push),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.marked())),
    "TUPLE1": lambda machine, _: machine.take(1),
    "TUPLE2": lambda machine, _: machine.take(2),
    "TUPLE3": lambda machine, _: machine.take(3),
    "APPEND": _Machine.append,
    "APPENDS": lambda machine, _: machine.extend(machine.marked()),
    "SETITEM": _Machine.put_item,
    "SETITEMS": lambda machine, _: machine.put_items(machine.marked()),
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}
