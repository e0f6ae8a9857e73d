"""Training: a train state, a compiled step, the loops around it, metrics and callbacks."""

from fnlayers.training import losses, metrics
from fnlayers.training.callbacks import CSVLog, EarlyStopping, Event, JSONLog, KeepBest
from fnlayers.training.diagnose import NonFiniteError
from fnlayers.training.fit import evaluate, fit, predict
from fnlayers.training.fit_loop import Fitted
from fnlayers.training.programs import clear_cache
from fnlayers.training.state import TrainState
from fnlayers.training.step import make_step

__all__ = [
    "CSVLog",
    "EarlyStopping",
    "Event",
    "Fitted",
    "JSONLog",
    "KeepBest",
    "NonFiniteError",
    "TrainState",
    "clear_cache",
    "evaluate",
    "fit",
    "losses",
    "make_step",
    "metrics",
    "predict",
]
