"""evaluate, predict: a model in inference over all of a data set."""

from typing import Any, get_args

import jax
import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.types import Loss, Metrics, Params, StateDict
from fnlayers.plain_data import choices
from fnlayers.training.check_state import check_declared
from fnlayers.training.check_targets import check_data
from fnlayers.training.data import ENOUGH, Remainder, inputs_only, position, source_of, whole_number
from fnlayers.training.endings import warn_of_endings
from fnlayers.training.epoch_means import EpochMeans
from fnlayers.training.fit_loop import run_evaluation
from fnlayers.training.named import Names, named
from fnlayers.training.objective import objective_of
from fnlayers.training.per_example import may_pad
from fnlayers.training.placing import placing_for, rows_here, share_of
from fnlayers.training.programs import program
from fnlayers.training.progress import Progress
from fnlayers.training.retracing import BatchTypes
from fnlayers.training.step import evaluation_of, prediction_of, shapes
from fnlayers.trees import Declared


def evaluate(
    model: Layer,
    params: Params,
    data: Any,
    *,
    loss: Loss,
    metrics: Metrics = None,
    loss_weights: Any = None,
    inputs: Names | None = None,
    targets: Names | None = None,
    sample_weights: Names | None = None,
    state: StateDict | None = None,
    batch_size: int = 32,
    remainder: Remainder | None = None,
    mesh: Any = None,
    rules: Any = "data",
    verbose: bool = False,
) -> dict[str, float]:
    """The loss and the metrics of a model in inference, averaged over all examples.

    They do not depend on the batch size, where each example is treated by itself.

    Arguments:
        model: the model.
        params: its params.
        data: as for `fit`.
        loss: as for `fit`; penalties and activity losses are added.
        metrics: as for `fit`.
        loss_weights: as for `fit`.
        inputs, targets, sample_weights: what the entries of batches that are dicts are, as for `fit`.
        state: the model's state, where it has one.
        batch_size: examples a batch, where data are arrays.
        remainder: what becomes of a last batch that is smaller, as for `fit`.
        mesh, rules: over which devices, and how, as for `fit`; the numbers are of all examples of all processes.
        verbose: whether to show a bar.

    Returns:
        The numbers by name, "loss" first.

    Example:
        >>> import optax, fnlayers as fl
        >>> model, x = fl.Dense(1, kernel_initializer="ones"), np.ones((10, 3))
        >>> evaluate(model, model.init(jax.random.key(0), x.shape), (x, x[:, :1]), loss=optax.squared_error)
        {'loss': 4.0}
    """
    check_model(model, "evaluate")
    objective = objective_of(loss, metrics, model, loss_weights)
    share = share_of(placing_for(model, None, mesh, rules), whole_number("batch_size", batch_size), data)
    source = source_of(data, share, argument=ENOUGH, names=named("evaluate", inputs, targets, sample_weights))
    state = {} if state is None else state
    check_declared(model, Declared(model, shapes(source.first.x)), params, state)
    out = jax.eval_shape(lambda p, s, x: model.run(p, x, state=s), params, state, source.first.x)
    check_data(objective, source, out)
    warn_of_endings(model, objective)
    source.remainder = remainder_of(remainder, may_pad(model, source.first.x, out, state, False, objective))
    placing = placing_for(model, None, mesh, rules, source.first.x, (params, state))
    if placing is not None:
        placing.check_shares(source)
        params, state = placing.weights(params, state, source.first.x)
    evaluation = program(evaluation_of, model, objective, placing)
    means = EpochMeans(objective, objective.gathered(out, source.first))
    progress = Progress(verbose, "evaluate", source.length)
    return run_evaluation(evaluation, means, params, state, source, out, progress, placing)


def predict(
    model: Layer,
    params: Params,
    x: Any,
    *,
    inputs: Names | None = None,
    state: StateDict | None = None,
    batch_size: int = 32,
    remainder: Remainder | None = None,
    mesh: Any = None,
    rules: Any = "data",
    verbose: bool = False,
) -> Any:
    """The model's outputs for all of x in inference, batch by batch.

    Arguments:
        model: the model.
        params: its params.
        x: an array, or a tuple or dict of them; or an iterable of batches of such, or a function that returns one.
        inputs: where x or its batches are dicts with other entries besides, the name of the inputs, as for `fit`.
        state: the model's state, where it has one.
        batch_size: examples a batch, where x is arrays.
        remainder: what becomes of a last batch that is smaller, as for `fit`; "drop" leaves out its outputs.
        mesh, rules: over which devices, and how, as for `fit`; each process gets the outputs for its own examples.
        verbose: whether to show a bar.

    Returns:
        What apply(params, x) would, as NumPy arrays: they need not fit on the device.

    Example:
        >>> import fnlayers as fl
        >>> model = fl.Dense(1, kernel_initializer="ones")
        >>> predict(model, model.init(jax.random.key(0), (None, 3)), np.ones((5, 3)), batch_size=2).shape
        (5, 1)
    """
    check_model(model, "predict")
    data = inputs_only(x, named("predict", inputs, labelled=False))
    share = share_of(placing_for(model, None, mesh, rules), whole_number("batch_size", batch_size), data)
    source, state = source_of(data, share), {} if state is None else state
    check_declared(model, Declared(model, shapes(source.first.x)), params, state)
    out = jax.eval_shape(lambda p, s, x: model.run(p, x, state=s), params, state, source.first.x)
    source.remainder = remainder_of(remainder, may_pad(model, source.first.x, out._replace(losses=()), state, False))
    placing = placing_for(model, None, mesh, rules, source.first.x, (params, state))
    if placing is not None:
        placing.check_shares(source)
        params, state = placing.weights(params, state, source.first.x)
    run, progress, outputs = program(prediction_of, model, placing), Progress(verbose, "predict", source.length), []
    batch_types = BatchTypes()
    for batch in source.batches(None):
        with batch_types.compared(batch, position(source.taken)):
            y = run(params, state, batch.x if placing is None else placing.batch(batch.x), None, None)
        batch_types.add(batch)
        jax.tree.map(lambda a: a.copy_to_host_async(), y)
        outputs.append((y, batch.count))
        if len(outputs) > 1:  # the one before, while this one runs
            outputs[-2] = _on_host(*outputs[-2])
        progress.step(dict)
    outputs[-1] = _on_host(*outputs[-1])
    progress.show({})
    progress.close()
    try:
        return jax.tree.map(lambda *rows: np.concatenate(rows), *(y for y, _ in outputs))
    except ValueError:
        raise ShapeError("the batches have outputs of different shapes; predict them one by one with apply") from None


def remainder_of(requested: Remainder | None, pads: bool) -> Remainder:
    """What becomes of a last batch that is smaller: what is asked for, else what is known to be exact."""
    if requested not in (*get_args(Remainder), None):
        raise ConfigError(choices("remainder", requested, (*get_args(Remainder), None)))
    return requested or ("pad" if pads else "run")


def _on_host(y: Any, count: int) -> tuple[Any, int]:
    return jax.tree.map(lambda a: rows_here(a)[:count], y), count
