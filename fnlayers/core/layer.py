"""`Layer`: options as plain data, and pure functions of (params, x). The contract of the library is this file."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from fnlayers.core import dtypes
from fnlayers.core.arguments import bound, check_methods, own_init
from fnlayers.core.checks import (
    check_input,
    check_key,
    checked_children,
    checked_output,
    refuse_summed,
)
from fnlayers.core.context import Context, Mask, Out, called_by_run, has_mask
from fnlayers.core.elsewhere import refuse_attribute
from fnlayers.core.errors import ConfigError, LayerError, MissingError, brief, within
from fnlayers.core.explicit import explicit_mesh, partitioned
from fnlayers.core.names import snake_case
from fnlayers.core.options import fault, options_of, stored
from fnlayers.core.outline import declared_by
from fnlayers.core.running import cast, outermost, run_in
from fnlayers.core.shapes import canonical, shape_of, with_dtype
from fnlayers.core.spec import Drawn, Param, State, Tree, declare, expand, initialize
from fnlayers.core.strings import as_arrays
from fnlayers.core.symbol import Symbol, call_symbolically
from fnlayers.core.trace import trace, trace_training
from fnlayers.core.types import Key, Params, Sizes, StateDict
from fnlayers.core.verbs import Verb
from fnlayers.functions.draws import HostKey
from fnlayers.plain_data import ByValue, nest_leaves

Shape = Any  # (None, 28, 28, 1), or a tuple or dict of shapes


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def layerclass(cls: type) -> Any:
    """Make the annotated names of a class the fields, and so the arguments, of a layer.

    A dataclass whose methods are written once, in `Layer`: generating them for a hundred classes would take longer
    than importing jax's numpy.
    """
    return dataclass(init=False, repr=False, eq=False)(cls)


class _Signature:
    """What `help` and notebooks show for a layer's class, made on request."""

    def __get__(self, layer: Any, cls: type) -> inspect.Signature:
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        listed = sorted(fields(cls), key=lambda f: bool(f.kw_only))
        return inspect.Signature(
            [
                inspect.Parameter(
                    f.name,
                    kinds[bool(f.kw_only)],
                    default=inspect.Parameter.empty if f.default is MISSING else f.default,
                    annotation=f.type,
                )
                for f in listed
            ]
        )


@layerclass
class Layer(ByValue):
    """Base of all layers: options that compare, hash, print and save; all arrays live outside.

    The author of a layer defines two of `weights`, `children`, `call`, `forward` (and `check` where options need
    checking). Its users call `init`, `init_state`, `apply`, `run`, `specs`, `out_shape`; nobody overrides those.

    Arguments:
        name: its name in a container; None: the class's name in snake case, numbered.
        trainable: False freezes its params (see `fnlayers.trainable_mask`) and its state; dropout still drops.
        dtype: a dtype policy, such as "mixed_bfloat16"; None is "float32". Under float16 gradients below 3e-8 are 0:
            `fit` and `make_step` scale the loss, a loop of one's own has to (multiply it, and divide the gradients).
    """

    name: str | None = field(default=None, kw_only=True)
    trainable: bool = field(default=True, kw_only=True)
    dtype: dtypes.PolicyName | None = field(default=None, kw_only=True)

    __slots__ = ("__dict__", "__weakref__", "_origin", "_inside")

    passes_mask: ClassVar[bool] = False  # whether a mask goes through `call` unchanged; else it is refused
    single_input: ClassVar[bool] = False  # whether x is one array, never a tuple or dict of them
    takes_one_step: ClassVar[bool] = False  # a cell: its input is one step of a sequence, with the states
    scans_children: ClassVar[bool] = False  # whether the layers inside are cells that it steps, not run by ctx.run
    sums_features: ClassVar[bool] = False  # whether `call` sums over the last axis: a mask may not cover it
    casts_inputs: ClassVar[str] = "floats"  # which inputs are cast to the policy's compute dtype: floats, all, none
    casts_params: ClassVar[bool] = True  # whether own params are; not where the maths is in float32 anyway
    takes: ClassVar[str] = "numbers"  # "real": no complex ones; "ordered": nor booleans
    regularizes_output: ClassVar[bool] = (
        True  # whether activity_regularizer sees y; else the layer adds the loss itself
    )
    written_as: ClassVar[str] = ""  # how it is made, for the error where arguments are missing or too many
    on_host: ClassVar[bool] = False  # whether it runs with NumPy, outside of jit: strings live nowhere else
    integer_policies: ClassVar[bool] = False  # whether dtype may be "int32" or "int64"
    dense_pairs: ClassVar[tuple[tuple[str, str], ...]] = ()  # Dense children of which the second alone reads the first
    is_template: ClassVar[bool] = False  # whether layers inside are copied: one object may be in other layers too
    activity_regularizer = None  # a field in the layers that have it
    # Of the class, by the methods that it writes
    has_weights: ClassVar[bool] = False
    has_children: ClassVar[bool] = False
    has_shape_check: ClassVar[bool] = False

    __signature__ = _Signature()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            raise ConfigError(own_init(cls))
        check_methods(cls)
        if "forward" in vars(cls):
            cls.forward = called_by_run(cls.forward)
        cls.has_weights = cls.weights is not Layer.weights
        cls.has_children = cls.children is not Layer.children
        cls.has_shape_check = cls.check_shape is not Layer.check_shape

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        values, options = bound(type(self), args, kwargs), options_of(type(self))
        for option in options:
            object.__setattr__(self, option.name, stored(option, values.get(option.name, option.default)))
        wrong = fault(self)
        try:
            _check_common(self)
            self.check()
        except Exception as error:  # a layer's own error says more than the type of a field, if it names the field
            if wrong is None or (isinstance(error, LayerError) and wrong.name in str(error).lower()):
                raise
        wrong = wrong and fault(self)  # `check` may have taken a field apart: the Input of a Sequential
        if wrong is not None:
            raise ConfigError(wrong.sentence)

    # What an author writes

    def check(self) -> None:
        """Raise ConfigError for options that are wrong. Called when the layer is made."""

    def check_shape(self, shape: Shape) -> None:
        """Raise ShapeError for an input that the layer cannot take. Called at init and at run."""

    def weights(self, shape: Shape) -> Mapping[str, Any]:
        """Declare the layer's own arrays for an input of that shape: a Param or State by name, in Keras's order."""
        return {}

    def children(self, shape: Shape) -> Mapping[str, tuple["Layer", Shape]]:
        """The layers inside, by name, each with the shape of its input."""
        return {}

    def call(self, params: Any, x: Any) -> Any:
        """The output of a pure layer."""
        raise ConfigError(f"{type(self).__name__} defines neither call nor forward; write one of them")

    @called_by_run
    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """The output of a layer with effects: randomness, state, masks, losses or children.

        A child is run by `ctx.run(name, child, params, x, mask)`.
        """
        if has_mask(ctx.mask) and not self.passes_mask:
            raise ConfigError(
                f"{brief(self)} does not support a mask, because it mixes or moves steps; put fnlayers.DropMask() "
                "before it if its padded steps may count as data"
            )
        if self.sums_features:
            refuse_summed(self, x, ctx.mask)
        return Out(checked_output(self, self.call(params, x)), {}, ctx.mask if has_mask(ctx.mask) else None)

    @property
    def in_dtype(self) -> Any:
        """The dtype of the input that shapes are traced with; integer layers say "int32"."""
        return dtypes.policy(self.dtype).compute.name

    def in_types(self, shape: Shape) -> Any:
        """The ArrayTypes of the inputs of that shape that shapes are traced with: of `in_dtype`, all of them."""
        return with_dtype(shape, self.in_dtype)

    @property
    def takes_strings(self) -> bool:
        """Whether an input may be strings: a layer that runs on the host, or a model that begins with one."""
        return self.on_host

    @property
    def in_shape(self) -> Shape | None:
        """The input's shape, where the layer knows it: of a graph, or a Sequential that begins with an Input."""
        return None

    # What a user calls

    def init(self, rng: Key, shape: Sizes = None) -> dict[str, Any]:
        """Draw the params for inputs of that shape.

        Arguments:
            rng: a random key; each array's own key is folded from it by the array's path.
            shape: the input's shape with its batch axis, None where unknown; a tuple or dict of shapes for several. A
                model with an Input knows its own.
        """
        check_key(self, rng)
        return initialize(self._declared(self._known_shape(shape, "init(rng, x.shape)")), rng, (Param, Drawn))

    def init_state(self, shape: Sizes = None) -> dict[str, Any]:
        """The starting state, {} for nearly every layer."""
        return initialize(self._declared(self._known_shape(shape, "init_state(x.shape)")), HostKey(0, 0), State)

    def apply(
        self,
        params: Params,
        x: Any,
        *,
        state: StateDict | None = None,
        rng: Key | None = None,
        mask: Mask = None,
        train: bool = False,
    ) -> Any:
        """The output alone. In training it refuses to drop new state or losses: use `run` for those."""
        out = self.run(params, x, state=state, rng=rng, mask=mask, train=train)
        if train and (out.state or out.losses):
            lost = " and ".join(word for word, got in (("new state", out.state), ("losses", out.losses)) if got)
            raise MissingError(
                f"{type(self).__name__}: apply(train=True) would drop {lost}; write out = model.run(..., train=True) "
                "and use out.y, out.state and out.losses"
            )
        return out.y

    def run(
        self,
        params: Params,
        x: Any,
        *,
        state: StateDict | None = None,
        rng: Key | None = None,
        mask: Mask = None,
        train: bool = False,
    ) -> Out:
        """Everything: out.y, out.state, out.mask, out.losses.

        Arguments:
            params: what `init` drew.
            x: an array, or a tuple or dict of them, like the shape given to `init`.
            state: what `init_state` or an earlier run returned.
            rng: a random key, where a layer draws in training.
            mask: which steps are valid: a boolean array whose axes are x's first ones, usually (batch, time). NaN and
                infinity in the others count as 0.
            train: whether to train: dropout drops, batch statistics are used and collected.
        """
        x = as_arrays(x) if self.takes_strings else x
        if explicit_mesh(x, params) is None:
            return run_in(self, params, *outermost(self, params, x, state, rng, mask, train))

        def run(params: Any, x: Any, state: Any, rng: Any, mask: Any) -> Out:
            return run_in(self, params, *outermost(self, params, x, state, rng, mask, train))

        return Out(*partitioned(run, like=(1, 2, 1, None))(params, x, state, rng, mask))

    def specs(self, shape: Sizes = None) -> Tree:
        """The Param or State of every array, in trees shaped like the params and the state together."""
        return expand(self._declared(self._known_shape(shape, "specs(x.shape)")))

    def out_shape(self, shape: Sizes = None) -> Shape:
        """The output's shape, None where it is unknown. Traced, so nothing is computed."""
        return shape_of(self.out_type(shape))

    def out_type(self, shape: Shape = None, dtype: Any = None) -> Any:
        """The output's ArrayType (shape and dtype) for inputs of that shape and dtype (None: `in_dtype`)."""
        shape = self._known_shape(shape, "out_shape(x.shape)")
        return trace(self, with_dtype(shape, dtype) if dtype else self.in_types(shape))

    def __iter__(self) -> Iterator[Verb]:
        """The pair: `init, apply = layer`. The layers of a model are `model.layers`."""
        return iter((Verb(self, "init"), Verb(self, "apply")))

    def __call__(self, *inputs: Any) -> Any:
        """Add this layer to a graph: takes Symbols (see Input), and arrays among them; returns Symbols."""
        x = inputs[0] if len(inputs) == 1 else inputs
        if not any(isinstance(leaf, Symbol) for leaf in nest_leaves(x)):
            raise ConfigError(
                f"{type(self).__name__} holds no weights; write params = layer.init(rng, x.shape), then "
                "layer.apply(params, x). Calling a layer builds a graph, from fnlayers.Input(shape)"
            )
        return call_symbolically(self, x)

    def __repr__(self) -> str:
        shown = (f"{name}={_shown(value)}" for name, value in _chosen(self).items())
        return f"{type(self).__name__}({', '.join(shown)})"

    def __treescope_repr__(self, path: str | None, renderer: Any) -> Any:  # what __repr__ says, to unfold
        from treescope import repr_lib  # it is there: it asks

        return repr_lib.render_object_constructor(type(self), _chosen(self), path, renderer, roundtrippable=True)

    # Private to the library

    if not TYPE_CHECKING:  # a type checker knows the attributes

        def __getattr__(self, name: str) -> Any:  # called for absent attributes alone
            return refuse_attribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if type(self).__init__ is not Layer.__init__:  # of dataclasses.dataclass
            raise ConfigError(own_init(type(self)))
        raise ConfigError(f"{type(self).__name__} does not change; write dataclasses.replace(layer, {name}=...)")

    def __delattr__(self, name: str) -> None:
        raise ConfigError(f"{type(self).__name__} does not change; {name} stays")

    @property
    def origin(self) -> "Layer":
        """The object from which a container made this copy with a name: it decides which weights are shared."""
        return getattr(self, "_origin", self)

    def renamed(self, name: str | None) -> Any:
        """The same layer under another name; for a container, which gives names."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, name=name)
        object.__setattr__(copy, "_origin", self.origin)
        object.__setattr__(copy, "_inside", getattr(self, "_inside", None))
        return copy

    @property
    def base_name(self) -> str:
        """The name that a container numbers when this layer has none of its own."""
        return snake_case(type(self).__name__)

    def _known_shape(self, shape: Shape | None, verb: str) -> Shape:
        """The shape, or where it is None the layer's own."""
        if shape is None:
            shape = self.in_shape
        if shape is None:
            raise MissingError(
                f"{brief(self)} does not know the shape of its input; write layer.{verb}, or start a Sequential with "
                "fnlayers.Input(shape)"
            )
        return canonical(shape)

    def _declared(self, shape: Shape) -> dict:
        """Own and children's declarations in one tree, with dtype and trainable filled in."""
        try:
            check_input(self, shape)
            tree = declare(self.weights(shape), dtypes.policy(self.dtype).variable.name, self.trainable)
        except LayerError as error:
            error.of(self)
            raise
        for name, (child, child_shape) in checked_children(self, self.children(shape)).items():
            if name in tree:
                raise ConfigError(f"{type(self).__name__} has both a weight and a child named {name!r}")
            with within(name):
                sub = declared_by(child, canonical(child_shape))
            if sub:
                tree[name] = sub if self.trainable else declare(sub, "float32", trainable=False)
        return tree

    # The way from `run` to `forward` (core/running.py)
    _outermost = outermost
    _run = run_in
    _cast = cast

    def _compose(self, types: Any) -> Any:
        """The output's ArrayTypes where those of the layers inside tell them, input to output; None: to be traced."""
        return None

    def _trace(self, shape: Shape) -> None:
        """Trace a training pass, whose choices `ops.explain` records."""
        trace_training(self, self.in_types(canonical(shape)))


def _check_common(layer: Layer) -> None:
    """A name that can stand in a path, and a dtype policy."""
    if layer.name is not None and (not isinstance(layer.name, str) or not layer.name or "/" in layer.name):
        raise ConfigError(f"name={layer.name!r} is not a name; give a non-empty string without '/'")
    if layer.dtype is not None:
        dtypes.policy(layer.dtype, layer.integer_policies)


def _chosen(layer: Layer) -> dict[str, Any]:
    """The options that are not the defaults."""
    layer = layer.origin if layer.origin.name is None else layer  # not the name that a container gave
    options = {f.name: (getattr(layer, f.name), f.default) for f in fields(layer)}
    return {
        name: value
        for name, (value, default) in options.items()
        if default is MISSING or type(value) is not type(default) or value != default
    }


def _shown(value: Any) -> str:
    """The repr of a field; a function by its name, without the address that changes from run to run."""
    return getattr(value, "__name__", None) or repr(value)


def check_model(model: Any, verb: str) -> None:
    """Raise ConfigError for what is not a layer where a public function takes a model, above all for a class."""
    if isinstance(model, Layer):
        return
    if isinstance(model, type) and issubclass(model, Layer):
        raise ConfigError(f"{verb} takes a layer, got the class {model.__name__}; make one, {model.__name__}(...)")
    raise ConfigError(
        f"{verb} takes a layer, got {type(model).__name__}; give a Sequential, a graph of fnlayers.functional or any "
        "layer (other pairs of init and apply join by fnlayers.Pair)"
    )
