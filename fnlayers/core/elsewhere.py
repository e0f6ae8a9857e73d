"""Names of other libraries, each with what is written here instead. They are never answered, only explained."""

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.plain_data import FrozenDict, did_you_mean


class AbsentError(ConfigError, AttributeError):
    """A name that is not there: an AttributeError, so that hasattr, copy and pickle work, that says what to write."""


# Of the package, fl.layers and fl.models: names of Keras, PyTorch, Flax and Haiku.
NAMES: Mapping[str, str] = FrozenDict(
    BatchNorm="BatchNormalization()",
    BatchNorm1d="BatchNormalization()",
    BatchNorm2d="BatchNormalization()",
    LayerNorm="LayerNormalization()",
    GroupNorm="GroupNormalization(groups)",
    RMSNorm="RMSNormalization()",
    Linear="Dense(units)",
    Conv="Conv1D, Conv2D or Conv3D(filters, kernel_size)",
    Conv1d="Conv1D(filters, kernel_size)",
    Conv2d="Conv2D(filters, kernel_size)",
    Conv3d="Conv3D(filters, kernel_size)",
    ConvTranspose="Conv2DTranspose(filters, kernel_size)",
    ConvTranspose1d="Conv1DTranspose(filters, kernel_size)",
    ConvTranspose2d="Conv2DTranspose(filters, kernel_size)",
    ConvTranspose3d="Conv3DTranspose(filters, kernel_size)",
    MaxPool1d="MaxPooling1D()",
    MaxPool2d="MaxPooling2D()",
    MaxPool3d="MaxPooling3D()",
    AvgPool1d="AveragePooling1D()",
    AvgPool2d="AveragePooling2D()",
    AvgPool3d="AveragePooling3D()",
    Embed="Embedding(input_dim, output_dim)",
    MultiheadAttention="MultiHeadAttention(num_heads, key_dim)",
    MultiHeadDotProductAttention="MultiHeadAttention(num_heads, key_dim)",
    Model="functional(inputs, outputs) for a graph, Sequential([...]) for a chain",
    Module="Layer, with @layerclass, for a layer of your own",
    ModuleList="Sequential([...]), or a tuple of layers as a field",
    plot_model='show.graph(model).save("model.svg")',
    load_model='load("model.safetensors"), or load_keras("model.keras")',
    save_model='save("model.safetensors", model, params, state)',
    clear_session="clear_cache(), and never needed for right numbers",
    keras="fnlayers itself, with Keras's names: fl.Dense, fl.layers.Dense",
    GELU='Activation("gelu")',
    SiLU='Activation("silu")',
    Swish='Activation("silu")',
    Sigmoid='Activation("sigmoid")',
    Tanh='Activation("tanh")',
    LogSoftmax='Activation("log_softmax")',
    ReLU6="ReLU(max_value=6)",
    Dropout1d="SpatialDropout1D(rate)",
    Dropout2d="SpatialDropout2D(rate)",
    Dropout3d="SpatialDropout3D(rate)",
    SpectralNorm="SpectralNormalization(layer)",
    optimizers="the optimizers of optax: fit(model, data, loss=loss, optimizer=optax.adam(1e-3))",
    Optimizer="the optimizers of optax: optax.adam(1e-3)",
    Adam="optax.adam(1e-3)",
    AdamW="optimizer('adam', 1e-3, model=model, shape=shape, weight_decay=...): kernels only; or optax.adamw(1e-3)",
    SGD="optax.sgd(1e-2, momentum=...)",
    RMSprop="optax.rmsprop(1e-3)",
    callbacks="EarlyStopping, KeepBest, CSVLog and JSONLog, or any function of an Event",
    Callback="any function of an Event: fit(..., callbacks=[function])",
    LambdaCallback="any function of an Event: fit(..., callbacks=[function])",
    ModelCheckpoint="fit(..., checkpoint=Checkpoint(folder)), or KeepBest(name) for the best params",
    BackupAndRestore="fit(..., checkpoint=Checkpoint(folder), resume=folder)",
    CSVLogger="CSVLog(path)",
    TensorBoard="TensorBoardLog(folder)",
    TerminateOnNaN="NonFiniteError, which fit raises by itself (see guard=)",
    LearningRateScheduler="a schedule of optax: optax.adam(optax.cosine_decay_schedule(1e-3, steps))",
    ReduceLROnPlateau="a callback that returns SetLearningRate(value)",
    Variable="Param and State, declared in weights(self, shape); values are in params and state",
    backend="jax itself: jax.numpy, jax.nn, jax.random",
    random="jax.random",
    utils="show.graph for plot_model, jax.nn.one_hot for to_categorical",
    to_categorical="jax.nn.one_hot(labels, classes)",
    set_random_seed="a random key: model.init(jax.random.key(0), shape)",
    datasets="the arrays of another library; fit takes arrays and iterators",
)


def refuse_name(where: str, name: str, near: Iterable[str] = (), modules: Iterable[ModuleType] = ()) -> Any:
    """Raise AbsentError for a name that a module does not have.

    Arguments:
        where: the module's name.
        name: what was asked for.
        near: the names that the module has: a mistyped one is recognized.
        modules: others in which the name may stand.
    """
    if name.startswith("_"):  # asked for by Python and notebooks, not by people
        raise AbsentError(f"{where} has no {name!r}")
    hint = NAMES.get(name) or " or ".join(f"{_public(module)}.{name}" for module in modules if hasattr(module, name))
    if not hint and name[:1].isupper() and name.endswith(("1d", "2d", "3d")):
        hint = f"{name[:-1]}D, if that layer is in fnlayers.LAYERS"
    advice = f"here it is {hint}" if hint else did_you_mean(name, near)
    raise AbsentError(f"{where} has no {name!r}" + (f"; {advice}" if advice else ""))


def _public(module: ModuleType) -> str:
    return f"fnlayers.{module.__name__.rpartition('.')[2]}"


# Of a layer or model: the methods and properties of Keras.
_PARAMS = "params are what init returns: params = model.init(rng, shape), a dict of arrays"
_STATE = "state is what init_state returns, and out.state after a run"
_FIT = "fitted = fnlayers.fit(model, (x, y), loss=..., optimizer=...)"
_SHAPE = "write model.out_shape(shape), for an input of that shape"
METHODS: Mapping[str, str] = FrozenDict(
    get_weights=_PARAMS,
    set_weights=f"{_PARAMS}; pass others to apply",
    kernel=_PARAMS,
    bias=_PARAMS,
    params=_PARAMS,
    variables=_PARAMS,
    parameters=_PARAMS,
    trainable_weights="write fnlayers.trainable_mask(model, shape), True for each array that is trained",
    trainable_variables="write fnlayers.trainable_mask(model, shape), True for each array that is trained",
    non_trainable_weights=_STATE,
    non_trainable_variables=_STATE,
    state_dict=_PARAMS,
    load_state_dict=f"{_PARAMS}; pass others to apply",
    from_config="write fnlayers.load(path): a model and its weights are one file of data",
    to_json='write fnlayers.save("model.safetensors", model, params, state): the file holds the config, too',
    export="write fnlayers.export(path, model, params, state, shape=x.shape)",
    metrics="give them to fit: metrics={'accuracy': fnlayers.metrics.accuracy}",
    optimizer="give it to fit: optimizer=optax.adam(1e-3)",
    stop_training="a callback that returns True ends the training",
    train_step="step = fnlayers.make_step(model, loss, optimizer) makes one training step",
    reset_states="state = model.init_state(shape) starts again",
    add_loss="return fnlayers.Out(y, losses=(value,)) from forward",
    inputs="a graph has in_shape; write fnlayers.show.graph(model) to see it",
    outputs="write model.out_type(shape)",
    add_weight="declare it: def weights(self, shape): return {name: fnlayers.Param(shape)}",
    compile=f"{_FIT} takes them",
    fit=_FIT,
    train_on_batch="step = fnlayers.make_step(model, loss, optimizer) makes one training step",
    evaluate="write fnlayers.evaluate(model, params, (x, y), ...)",
    predict="write fnlayers.predict(model, params, x), or model.apply(params, x)",
    predict_on_batch="write model.apply(params, x)",
    summary="write print(fnlayers.summary(model, shape))",
    save='write fnlayers.save("model.safetensors", model, params, state)',
    save_weights='write fnlayers.save("model.safetensors", model, params, state)',
    load_weights='write model, params, state = fnlayers.load("model.safetensors")',
    count_params="write fnlayers.count(params)",
    build="nothing is built: params = model.init(rng, shape)",
    built="nothing is built: params = model.init(rng, shape)",
    output_shape=_SHAPE,
    compute_output_shape=_SHAPE,
    output="write model.out_type(shape), for an input of that shape",
    input_shape="it is in_shape, None where no Input declares it",
    add="a layer does not change: write Sequential([*model.layers, layer])",
    pop="a layer does not change: write Sequential(model.layers[:-1])",
    get_layer='write model["dense_1"] or model[0]',
    get_config="a layer is its fields: print(layer), dataclasses.fields(layer)",
    losses="write out = model.run(params, x, train=True); out.losses has them",
    to="write jax.device_put(params, device)",
    eval="write model.apply(params, x); training is train=True of each call",
)


def refuse_attribute(layer: object, name: str) -> Any:
    """Raise AbsentError for an attribute that a layer does not have."""
    message = f"{type(layer).__name__} has no {name!r}"
    raise AbsentError(f"{message}; {METHODS[name]}" if name in METHODS else message)
