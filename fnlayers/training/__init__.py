"""Training: a train state, a compiled step, the loops around it, metrics and callbacks."""

from fnlayers.training import losses, metrics
from fnlayers.training.averaging import averaged
from fnlayers.training.callbacks import EarlyStopping, Event, KeepBest
from fnlayers.training.checkpoint import Checkpoint, CheckpointError, restore
from fnlayers.training.diagnose import NonFiniteError
from fnlayers.training.ensemble import Ensemble, ensemble
from fnlayers.training.evaluation import evaluate, predict
from fnlayers.training.example_gradients import per_example_grad
from fnlayers.training.fit import fit
from fnlayers.training.fit_loop import Fitted
from fnlayers.training.log_files import CSVLog, JSONLog, TensorBoardLog
from fnlayers.training.memory import Memory, memory
from fnlayers.training.optimizer import optimizer
from fnlayers.training.programs import clear_cache
from fnlayers.training.results import AddLogs, Replace, SetLearningRate, Stop
from fnlayers.training.state import TrainState
from fnlayers.training.step import make_step
from fnlayers.training.step_events import StepEvent

__all__ = [
    "AddLogs",
    "CSVLog",
    "Checkpoint",
    "CheckpointError",
    "EarlyStopping",
    "Ensemble",
    "Event",
    "Fitted",
    "JSONLog",
    "KeepBest",
    "Memory",
    "NonFiniteError",
    "Replace",
    "SetLearningRate",
    "StepEvent",
    "Stop",
    "TensorBoardLog",
    "TrainState",
    "averaged",
    "clear_cache",
    "ensemble",
    "evaluate",
    "fit",
    "losses",
    "make_step",
    "memory",
    "metrics",
    "optimizer",
    "per_example_grad",
    "predict",
    "restore",
]
