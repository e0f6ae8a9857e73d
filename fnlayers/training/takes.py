"""What a loss or metric takes, in a form that can be read."""

from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["min", "max"]


@dataclass(frozen=True)
class Takes:
    """What a loss or metric takes.

    Arguments:
        name: what it is called in errors.
        labels: of y: "classes" (numbers, an axis less than y_pred), "one-hot" (or probabilities of classes), "binary"
            (0 to 1), "signs" (-1 or 1), "answers" (0 or 1, or -1 or 1), "numbers"; all but the first have y_pred's
            shape.
        form: "logits" or "probabilities", where y_pred must be one of them.
        other_form, other_labels: what to use for y_pred in the other form, for labels of the other kind.
        axis: that of the classes.
        better: "min" or "max", None where nothing says so.
        per_example: whether each value is known to be a function of its own example.
        ignore: a label that does not count.
        classes: how many classes there are, where the metric itself says so.
    """

    name: str
    labels: str
    form: str | None = None
    other_form: str = ""
    other_labels: str = ""
    axis: int = -1
    better: str | None = "min"
    per_example: bool = True
    ignore: int | None = None
    classes: int | None = None

    @property
    def are_classes(self) -> bool:
        """Whether labels are class numbers."""
        return self.labels == "classes" or self.classes is not None

    def bounds(self, classes: int) -> tuple[int, int | None] | None:
        """The least and the largest label, None for no limit; None where any number is a label."""
        if self.are_classes:
            return 0, (self.classes or classes) - 1
        return {"binary": (0, 1), "one-hot": (0, None), "signs": (-1, 1), "answers": (-1, 1)}.get(self.labels)

    def is_wrong(self, y: Any, classes: int) -> Any:
        """Which labels the loss cannot take, as booleans; None where it takes any. `y`: of NumPy or JAX."""
        bounds = self.bounds(classes)
        if bounds is None:
            return None
        least, most = bounds
        right = y >= least
        if most is not None:
            right &= y <= most
        if self.labels == "signs":
            right &= abs(y) == 1
        return ~right if self.ignore is None else ~right & (y != self.ignore)

    def expected(self, shape: tuple) -> tuple:
        """The shape of y for y_pred of that shape."""
        if self.labels != "classes":
            return tuple(shape)
        axis = self.axis % len(shape)
        return (*shape[:axis], *shape[axis + 1 :])
