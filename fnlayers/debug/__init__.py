"""Looking inside: numbers of each layer, gradients by layer, the first number that is not finite, repeated tracing."""

from fnlayers.debug.gradients import Gradient, Gradients, gradients
from fnlayers.debug.not_finite import nan, nan_step
from fnlayers.debug.retraces import RetraceWarning, retraces
from fnlayers.debug.trace import Output, Trace, trace

__all__ = [
    "Gradient",
    "Gradients",
    "Output",
    "RetraceWarning",
    "Trace",
    "gradients",
    "nan",
    "nan_step",
    "retraces",
    "trace",
]
