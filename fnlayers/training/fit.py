"""fit: a loop over steps. It changes nothing that it is given, and returns what it made."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import optax

from fnlayers.core.errors import ConfigError, located
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.types import Key, Loss, Metrics, Params, StateDict
from fnlayers.training.averaging import for_evaluation
from fnlayers.training.batch import Batch
from fnlayers.training.callbacks import checked_callbacks
from fnlayers.training.check_state import check_optimizer, check_train_state
from fnlayers.training.check_targets import check_data
from fnlayers.training.checkpoint import Checkpoint, Checkpoints, check_folder, same_folder
from fnlayers.training.data import Remainder, Source, source_of, true_or_false, whole_number
from fnlayers.training.directions import directions_of, with_skipped
from fnlayers.training.endings import warn_of_endings
from fnlayers.training.evaluation import remainder_of
from fnlayers.training.fit_loop import FitLoop, Fitted
from fnlayers.training.guard import Guard, checked_guard
from fnlayers.training.named import Named, Names, named
from fnlayers.training.objective import objective_of
from fnlayers.training.per_example import may_pad
from fnlayers.training.placing import Placing, placing_for, share_of
from fnlayers.training.remat import Remat, checked_remat
from fnlayers.training.resuming import resume as go_on
from fnlayers.training.splitting import check_classes, split_off, weighted_by_class
from fnlayers.training.state import TrainState, as_key, copied
from fnlayers.training.step import shapes
from fnlayers.trees import Declared

Tree = Any


def fit(
    model: Layer,
    data: Any,
    *,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    epochs: int = 1,
    batch_size: int = 32,
    metrics: Metrics = None,
    loss_weights: Any = None,
    inputs: Names | None = None,
    targets: Names | None = None,
    sample_weights: Names | None = None,
    validation_data: Any = None,
    validation_split: float | None = None,
    class_weight: Mapping[int, float] | None = None,
    rng: Key | int = 0,
    params: Params | None = None,
    state: StateDict | None = None,
    train_state: TrainState | None = None,
    shuffle: bool = True,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    remainder: Remainder | None = None,
    guard: Guard = "raise",
    ema: float | None = None,
    scan_steps: int = 1,
    prefetch: int = 0,
    remat: Remat = False,
    callbacks: Iterable[Any] = (),
    checkpoint: Checkpoint | None = None,
    resume: str | Path | None = None,
    mesh: Any = None,
    rules: Any = "data",
    verbose: bool = True,
) -> Fitted:
    """Train a model, and return the result; nothing that is given changes.

    The same arguments give the same numbers, bit for bit on one machine, and callbacks that change nothing do not
    change them. A last batch that is smaller than the others counts as what it is (see `remainder`). Values that losses
    and layers read from outside, such as a coefficient in a closure, are taken when fit begins. Where the
    batches of an iterable have the step compiled again and again, a warning names what changed in them
    (`fnlayers.debug.RetraceWarning`).

    Arguments:
        model: the model.
        data: (x, y) or (x, y, weight) as a tuple of arrays, x and y also as tuples or dicts of arrays, and weight
            also as one for each output, structured like y; or an iterable of such batches, or a function that returns
            one for each epoch; or, with `inputs` and `targets`, a dict of arrays, or batches that are dicts.
        loss: a function (y_pred, y_true) -> values, one or more for each example (those of optax and `fnlayers.losses`
            are such), or Keras's name of one, which takes logits unless the model ends in a softmax or sigmoid; for
            several outputs also a dict or tuple of them, in a dict also one for several outputs together, by the tuple
            of their names: loss={"a": f, ("a", "b"): g}, of tuples (a, b). Their mean is weighted by the sample weights
            and leaves out masked steps. Added to it are the regularizers' penalty and the activity losses.
        optimizer: an optax optimizer; its learning rate may be an optax schedule.
        epochs: how often to go through the data.
        batch_size: examples a step, where data are arrays.
        metrics: a list, or a dict by name, of functions like the loss, which are averaged over the epoch, of metrics of
            `fnlayers.metrics`, of other objects with `init`, `update` and `result`, of google-metrax's classes, and of
            Keras's names; for several outputs also a dict {output: such}.
        loss_weights: a number for each of several losses, structured like them; None: 1 each.
        inputs: where batches are dicts, the name of x in them, inputs="image"; several names, in a tuple or dict, make
            x a tuple or dict of arrays. Entries that have no name here are left out.
        targets: likewise that of y, targets="label".
        sample_weights: likewise that of the weights, if there are any.
        validation_data: like data, or a tuple (x, y) where data are dicts; evaluated after each epoch as "val_...".
        validation_split: instead of it, the fraction of arrays that is held out for that: the last examples, before
            anything is shuffled.
        class_weight: {class number: weight}, by which the examples of each class are weighted; 1 where there is none.
        rng: a random key or a seed: of the params, of what the layers draw, and of the order of the examples.
        params: where to start, instead of what the model draws.
        state: the state that belongs to them; needed with params where the model keeps any (model.init_state(shape)
            starts it again).
        train_state: where to go on: that of an earlier result; in place of rng, params and state.
        shuffle: whether arrays are gone through in another order in each epoch.
        steps_per_epoch: batches an epoch, for an iterable that does not end.
        validation_steps: batches of each validation, for an iterable that does not end, is an iterator, or has more
            than 10,000 batches and no length.
        remainder: what becomes of a last batch that is smaller. "run": it runs at its own size, for which a second
            program is compiled. "pad": it is filled up with rows of no weight, which is exact where each example is
            treated by itself. "drop": it is left out. None: "pad" where losses, metrics and layers are known to treat
            each example by itself (those of fnlayers and optax that do, without state), else "run".
        guard: what becomes of a step whose loss, gradients or update are not finite; in no case but the last is it
            taken. "raise": the training ends with an error that says why, and carries the train state before it.
            "skip": params, state and the optimizer's state stay as they are, as with `optax.apply_if_finite`, and the
            next step goes on; the step counts in train_state.step, in no mean of the epoch, and in the logs' "skipped".
            An epoch of none but such steps is an error, as are labels that the loss cannot take. False: nothing is
            looked at, which spares reading the params once more in each step, and what is not finite stays in them.
        ema: the momentum of an average of the params, such as 0.999, which moves after each update: those that are
            validated, by which callbacks choose the best epoch, and that the result's `params` are. The average begins
            at the initial params, and is part of the train state: train_state.params are those of the last step, and
            `fnlayers.averaged(train_state)` the average. The model's state belongs to both.
        scan_steps: how many steps one compiled program makes (`jax.lax.scan`), which saves the cost of starting each
            where steps are small. They are the same steps and give the same numbers, on CPUs bit for bit. What is
            left over at the end of an epoch, before a checkpoint that is due, or before a batch of another size runs
            step by step. What a callback returns for a step takes effect between two such programs.
        prefetch: how many batches (or chunks of `scan_steps`) a thread takes from the data, and puts on the device,
            before their step needs them; for data that take time to read, where something is idle meanwhile. Numbers
            and checkpoints are the same: a batch counts once its step is made, and an error of the data comes where the
            batch would have come. 0, the default, since for arrays the thread costs more than it saves: each is taken
            when the one before has been started.
        remat: what the backward pass computes again in place of keeping it: memory for time, the same numbers. True:
            what each layer of the model (of a Sequential or a graph) computes, of which only the inputs are saved: for
            models of blocks, each a layer. A policy of `jax.checkpoint_policies`: what it does not keep, of any model;
            `dots_with_no_batch_dims_saveable` keeps the products of dense layers alone. On CPUs XLA gives hardly any
            memory back for it, but for `Repeat(remat=True)`. False: nothing.
        callbacks: functions of an `Event`, called after each epoch, and objects with a method `on_step`, given a
            `StepEvent` for each step. What they return has an effect: True or `Stop(reason)` ends the training,
            `SetLearningRate`, `Replace` and `AddLogs` change it.
        checkpoint: `fl.Checkpoint(folder)`: where to write all that is needed to go on, and how often.
        resume: a folder of checkpoints: from the newest one the training goes on to the same numbers, bit for bit, as
            if nothing had come between; the other arguments are those of the training that wrote it (epochs may be
            more). Where it is the folder of `checkpoint` and empty, the training begins.
        mesh, rules: over which devices to train, and how, see `fnlayers.shardings`: params are drawn where they lie and
            batches are split, to the same numbers as on one device, whatever is drawn or averaged over the batch. Of
            several processes each gives arrays, or batches, with examples of its own, as many as the others; batch_size
            counts those of all. None: one device, or where x is on a mesh already, that mesh, to which arrays stay.
        verbose: whether to show a bar (in a log file: a line an epoch); of several processes the first one does.

    Returns:
        Fitted(train_state, history, stopped), with params and state as properties. On Ctrl-C it returns what was
        reached.

    Raises:
        NonFiniteError: when a loss, a gradient or an update is not finite (see `guard`): it says which step and layer.
        ConfigError: for data, labels or losses that cannot be used, and for a checkpoint of another training.
        ShapeError: for lengths that do not fit.
        MissingError: for `resume` where there is no checkpoint, and where orbax-checkpoint is not installed.
        CheckpointError: for a checkpoint that cannot be written or read; those before it are whole.
        Exception: whatever the data or a callback raise. Every error that ends a training carries what was reached,
            error.train_state (finite, after the last step that was) and error.history; fit(train_state=...) goes on.

    Example:
        >>> import numpy as np, fnlayers as fl
        >>> x = np.linspace(-1, 1, 100)[:, None]
        >>> result = fit(
        ...     fl.Dense(1), (x, 2 * x + 1), loss=optax.squared_error, optimizer=optax.sgd(0.5), epochs=9, verbose=False
        ... )
        >>> round(float(result.params["bias"][0]), 2), len(result.history["loss"])
        (1.0, 9)
    """
    check_model(model, "fit")
    check_optimizer(optimizer, "fit")
    shuffle, verbose = true_or_false("fit: shuffle", shuffle), true_or_false("fit: verbose", verbose)
    objective, epochs = objective_of(loss, metrics, model, loss_weights), whole_number("epochs", epochs)
    names = named("fit", inputs, targets, sample_weights)
    if validation_split is not None:
        if validation_data is not None:
            raise ConfigError("fit: give validation_split or validation_data, not both")
        data, validation_data = split_off(data, validation_split, names)
        names = None
    if objective.whole and validation_data is None:
        name = objective.whole[0].name
        raise ConfigError(f"metrics: {name!r} is of a whole set, that of validation_data; give validation_data")
    guard, scan_steps = checked_guard("fit", guard), whole_number("fit: scan_steps", scan_steps)
    prefetch, remat = whole_number("fit: prefetch", prefetch, least=0), checked_remat("fit", remat)
    directions = directions_of(objective, validation_data is not None)
    if guard == "skip":
        directions = with_skipped(directions)
    callbacks, directions = checked_callbacks(callbacks, directions)
    _check_checkpoint(checkpoint, resume, directions)
    placing = placing_for(model, optimizer, mesh, rules)
    batch_size = whole_number("batch_size", batch_size)
    share = share_of(placing, batch_size, data)
    source = source_of(data, share, epochs, steps_per_epoch, names=names)
    if class_weight is not None:
        source = weighted_by_class(source, class_weight, objective)
    held_out = _validation_source(validation_data, share, epochs, validation_steps, names)
    if ema is not None:
        optimizer = for_evaluation(optimizer, ema, model, shapes(source.first.x))
    placing = placing_for(model, optimizer, mesh, rules, source.first.x, (params, state, train_state))
    if placing is not None:
        placing.check_batch_size(source.first.count, placing.processes_of(source.first))
        placing.check_shares(source, held_out)
    train_state = _initial_train_state(model, optimizer, source, rng, params, state, train_state, placing)
    out = _output_shapes(model, train_state, source.first)
    for each in filter(None, (source, held_out)):
        with located("validation_data") if each is held_out else contextlib.nullcontext():
            check_data(objective, each, out)
        pads = may_pad(model, each.first.x, out, train_state.state, each is source, objective)
        each.remainder = remainder_of(remainder, pads)
    if class_weight is not None:
        check_classes(class_weight, objective, out)
    warn_of_endings(model, objective)
    loop = FitLoop(
        model,
        objective,
        optimizer,
        source,
        train_state,
        out,
        verbose,
        held_out,
        callbacks,
        directions,
        epochs,
        shuffle,
        guard,
        scan_steps,
        placing,
        prefetch,
        remat,
    )
    if resume is not None:
        go_on(loop, resume, may_begin=checkpoint is not None and same_folder(resume, checkpoint.folder))
    return loop.train(None if checkpoint is None else Checkpoints(checkpoint, resume))


def _initial_train_state(
    model: Layer,
    optimizer: Any,
    source: Source,
    rng: Any,
    params: Tree,
    state: Tree,
    train_state: TrainState | None,
    placing: Placing | None,
) -> TrainState:
    """The train state to begin with, in arrays of its own."""
    if train_state is None:
        on = {} if placing is None else {"mesh": placing.mesh, "rules": placing.rules}
        return TrainState.create(model, shapes(source.first.x), optimizer, rng, params=params, state=state, **on)
    if params is not None or state is not None:
        raise ConfigError("fit: give train_state, or params and state, not both")
    declared = Declared(model, shapes(source.first.x))
    check_train_state(model, declared, optimizer, train_state, "fit(train_state=...)")
    return copied(train_state if placing is None else placing.train_state(train_state, source.first.x))


def _output_shapes(model: Layer, train_state: TrainState, batch: Batch) -> Any:
    """The shapes of all that a training pass returns."""

    def run(params: Tree, state: Tree, x: Any) -> Any:
        return model.run(params, x, state=state, rng=as_key(0), train=True)

    return jax.eval_shape(run, train_state.params, train_state.state, batch.x)


def _check_checkpoint(checkpoint: Any, resume: Any, directions: Mapping) -> None:
    """Raise ConfigError for what is no checkpoint, a monitor that will not be there, and what names no folder."""
    if checkpoint is not None:
        if not isinstance(checkpoint, Checkpoint):
            raise ConfigError(f"fit: checkpoint={checkpoint!r}: give fl.Checkpoint(folder)")
        checkpoint.check_monitor(directions)
    if resume is not None:
        check_folder("fit: resume", resume)


def _validation_source(
    data: Any, batch_size: int, epochs: int, steps: int | None, names: Named | None
) -> Source | None:
    """The validation data, if there are any."""
    if data is None:
        if steps is not None:
            raise ConfigError(f"validation_steps={steps!r} was given without validation_data")
        return None
    names = None if names is None else names.for_validation()
    with located("validation_data"):
        return source_of(data, batch_size, epochs, steps, argument="validation_steps", names=names)
