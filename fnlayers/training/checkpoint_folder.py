"""A folder of checkpoints, written and read by orbax: one folder for each, with arrays and a JSON file in it."""

import contextlib
import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import LayerError, MissingError
from fnlayers.training.state import TrainState, copied
from fnlayers.trees import paths

Tree = Any


class CheckpointError(LayerError):
    """A checkpoint that could not be written or read: a full disk, a folder without permission, a damaged file."""


class Writer:
    """Writes checkpoints in the background, and deletes those that are not to stay.

    Arguments:
        folder: where; it is made.
        keep_last: how many of the newest stay.
        keep_best: how many of those with the highest scores stay besides.
    """

    def __init__(self, folder: str | Path, keep_last: int, keep_best: int) -> None:
        ocp = _orbax()
        policies = ocp.checkpoint_managers
        stay: list = [policies.LatestN(keep_last)]
        if keep_best:
            stay.append(
                policies.BestN(
                    get_metric_fn=lambda metrics: metrics["score"],
                    n=keep_best,
                    keep_checkpoints_without_metrics=False,
                )
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(stay), cleanup_tmp_directories=True
        )
        self.folder, self.ocp = folder, ocp
        self.newest = str(folder)  # the checkpoint that was begun last
        with _explained("written", folder):
            _check_writable(folder)
            self.manager = ocp.CheckpointManager(_absolute(folder), options=options)

    def steps(self) -> list[int]:
        """The numbers of the checkpoints that are there."""
        return sorted(self.manager.all_steps())

    def write(self, step: int, train_state: TrainState, selected: TrainState | None, memory: dict, score: Any) -> None:
        """Begin to write one; it waits for the one before, and raises what became of that.

        Arguments:
            step: its number.
            train_state: the train state.
            selected: the train state that callbacks selected, if they did.
            memory: all else, as plain data.
            score: how good it is, more is better; None: it is none of the best.
        """
        args = self.ocp.args
        items = {"memory": args.JsonSave(memory), "train_state": args.PyTreeSave(_nested(copied(train_state)))}
        if selected is not None:
            items["selected"] = args.PyTreeSave(_nested(selected))
        self.wait()
        self.newest = f"{self.folder}/{step}"
        with _explained("written", self.newest):
            self.manager.save(
                step, args=args.Composite(**items), metrics=None if score is None else {"score": score}, force=True
            )

    def wait(self) -> None:
        """Until all are written; raises what became of them."""
        with _explained("written", self.newest):
            self.manager.wait_until_finished()

    def close(self) -> None:
        """End the threads; what went wrong with the last checkpoint is not raised a second time."""
        with contextlib.suppress(Exception):
            self.manager.close()


class Reader:
    """Reads the checkpoints in a folder, a context manager."""

    def __init__(self, folder: str | Path) -> None:
        self.folder, self.ocp = folder, _orbax()

    def __enter__(self) -> "Reader":
        options = self.ocp.CheckpointManagerOptions(read_only=True, create=False, save_interval_steps=0)
        self.manager = None
        with _explained("read", self.folder):
            if "://" in str(self.folder) or Path(self.folder).is_dir():
                self.manager = self.ocp.CheckpointManager(_absolute(self.folder), options=options)
        return self

    def __exit__(self, *_: object) -> None:
        if self.manager is not None:
            self.manager.close()

    def steps(self) -> list[int]:
        """The numbers of the checkpoints that are there."""
        return [] if self.manager is None else sorted(self.manager.all_steps())

    def step(self, step: int | None) -> int:
        """The number of this one, or of the newest; MissingError where there is none."""
        steps = self.steps()
        if not steps:
            raise MissingError(
                f"there is no checkpoint in {str(self.folder)!r}; give the folder of fl.Checkpoint(folder)"
            )
        if step is not None and step not in steps:
            raise MissingError(f"there is no checkpoint {step!r} in {str(self.folder)!r}; there are {steps}")
        return max(steps) if step is None else step

    def memory(self, step: int) -> dict:
        """What is no array."""
        return self._restored(step, memory=self.ocp.args.JsonRestore())["memory"]

    def train_state(self, step: int, like: TrainState, item: str = "train_state") -> TrainState:
        """The train state, or the "selected" one, placed on devices as `like` is, of whose kinds its arrays are."""
        target = _nested(like)
        how = jax.tree.map(self._how, target)
        read = self.ocp.args.PyTreeRestore(item=target, restore_args=how)
        by_path = paths(self._restored(step, **{item: read})[item])
        leaves = [_as(by_path.get(path), leaf) for path, leaf in paths(like).items()]
        return copied(jax.tree.unflatten(jax.tree.structure(like), leaves))

    def _restored(self, step: int, **items: Any) -> Any:
        assert self.manager is not None
        with _explained("read", f"{self.folder}/{step}"):
            return self.manager.restore(step, args=self.ocp.args.Composite(**items))

    def _how(self, leaf: Any) -> Any:
        """A committed array is read to where it is; others to the host, from where jax places them as it likes."""
        if isinstance(leaf, jax.Array) and leaf.committed:
            return self.ocp.ArrayRestoreArgs(sharding=leaf.sharding, global_shape=leaf.shape, dtype=leaf.dtype)
        return self.ocp.RestoreArgs(restore_type=np.ndarray)


def _nested(tree: Tree) -> dict:
    """The leaves of a tree in dicts by path: keys as numbers, and without empty arrays, which orbax does not write."""
    nested: dict = {}
    for path, leaf in paths(tree).items():
        leaf = jax.random.key_data(leaf) if _is_key(leaf) else leaf
        if leaf.size:
            *above, name = path.split("/")
            inner = nested
            for each in above:
                inner = inner.setdefault(each, {})
            inner[name] = leaf
    return nested


def _as(stored: Any, like: Any) -> Any:
    """An array that was read, in the form of the one that it replaces."""
    if stored is None:  # an empty one
        return jnp.zeros(like.shape, like.dtype)
    if _is_key(like):
        return jax.random.wrap_key_data(jnp.asarray(stored), impl=jax.random.key_impl(like))
    return stored if isinstance(stored, jax.Array) else jnp.array(stored, like.dtype)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _orbax() -> Any:
    """orbax.checkpoint, imported when it is first needed: that takes seconds."""
    if importlib.util.find_spec("orbax") is None:
        raise MissingError("checkpoints need orbax-checkpoint; pip install 'fnlayers[train]'")
    return importlib.import_module("orbax.checkpoint")


def _absolute(folder: str | Path) -> str:
    return str(folder) if "://" in str(folder) else str(Path(folder).absolute())


def _check_writable(folder: str | Path) -> None:
    """Raise OSError for a folder that cannot be written to: before the first step, not after hours."""
    if "://" in str(folder):
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


@contextlib.contextmanager
def _explained(done: str, where: str | Path) -> Iterator[None]:
    """Whatever goes wrong with files becomes a CheckpointError that says where."""
    try:
        yield
    except LayerError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"the checkpoint {str(where)!r} could not be {done}: {_cause(error)}. Look whether the disk is full and "
            "the folder may be written to; the checkpoints before are whole"
        ) from error


def _cause(error: BaseException) -> str:
    """What went wrong: the end of tensorstore's long sentences says it, before what it was asked for."""
    text = str(error).partition(" [")[0].strip() or type(error).__name__
    return text if len(text) <= 300 else f"{text[:100]} ... {text[-200:]}"
