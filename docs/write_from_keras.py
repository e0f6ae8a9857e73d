"""Write docs/from_keras.md from the catalog: python docs/write_from_keras.py (tests/keras_files holds them equal)."""

import pathlib
import re

import fnlayers as fl
from fnlayers.core.operations import OPERATIONS
from fnlayers.functions.activations import ACTIVATIONS
from fnlayers.functions.constraints import CONSTRAINTS
from fnlayers.functions.initializers import INITIALIZERS
from fnlayers.functions.regularizers import REGULARIZERS
from fnlayers.keras_files.config import NEUTRAL, UNNAMED
from fnlayers.keras_files.config_writer import MODULES, OURS
from fnlayers.keras_files.refusals import INSTEAD, WHY

HERE = pathlib.Path(__file__).parent
PAGE = HERE / "from_keras.md"
MODELS = {"Sequential", "Functional"}
KERAS_ONLY_AS_NODES = {"Operation"}

BEGIN = """# From Keras, and back

<!-- Written by docs/write_from_keras.py from the catalog; change that. -->

```python
import jax, jax.numpy as jnp, fnlayers as fl

model = fl.Sequential([fl.Input((4,)), fl.Dense(8, "relu"), fl.Dense(1)])
params = model.init(jax.random.key(0))
fl.save_keras("model.keras", model, params)  # keras.models.load_model opens it: the same outputs

model, params, state, *_ = fl.load_keras("model.keras")  # Keras need not be installed; h5py must be: fnlayers[keras]
y = model.apply(params, jnp.ones((2, 4)), state=state)
```

A layer of Keras is the layer of the same name here, with the same arguments, defaults, weights and numbers. A file is read and
written as data alone ([security.md](security.md)). `save_keras` writes Sequential models and graphs (shared layers, several inputs
and outputs, models inside, operations as `keras.ops`, arrays that they hold), dtype policies, initializers, regularizers, constraints and which layers are
frozen; a layer by itself is written as a graph of it. A model that was loaded, written and loaded again is the same model.
"""

REFUSED = """## What is refused

A class that is not in the table below, or that a file says is not Keras's own (`module`, `registered_name`), is an error unless it is
given: `load_keras(path, layers={"mine>Block": Block})`. So are functions that are not Keras's (`activations=`, `functions=` for
Lambda layers). `save_keras` refuses, with the path of the layer:

| layer | why | instead |
|---|---|---|
"""

MASKS = """## Masks

Keras hands masks on unseen, and drops them with a warning before a layer that does not support them; here that is an error, and
`DropMask` says it. So `load_keras` puts a `DropMask` where Keras drops a mask, and `save_keras` leaves it out there. Elsewhere in a
graph a dropped mask is written as `keras.ops.copy`, which ends it, and a mask that a layer uses as a tensor of the graph. A layer that
would join masks in a way that Keras does not have is an error.

"""


def page() -> str:
    """The text of the page."""
    parts = [BEGIN, "\n## Layers\n\n", layers(), options(), functions(), MASKS, REFUSED, refused(), deviations()]
    return "".join(parts)


def layers() -> str:
    lines = ["| here | in Keras | what deviates ([all](deviations.md)) |\n|---|---|---|\n"]
    noted = notes()
    for name in fl.LAYERS:
        if name in UNNAMED - MODELS - KERAS_ONLY_AS_NODES or name in INSTEAD:
            continue
        where = MODULES.get(
            name, "keras.ops" if name in KERAS_ONLY_AS_NODES else "keras" if name in MODELS else "keras.layers"
        )
        lines.append(f"| `{name}` | `{where}` | {'; '.join(noted.get(name, []))} |\n")
    return "".join(lines) + "\n"


def notes() -> dict[str, list[str]]:
    """For each layer what the table of deviations says of it."""
    by_layer: dict[str, list[str]] = {}
    for line in (HERE / "deviations.md").read_text().splitlines():
        columns = [column.strip() for column in line.strip("|").split(" | ")]
        if len(columns) < 3 or not line.startswith("| ") or columns[0] in ("what", "argument"):
            continue
        for name in dict.fromkeys(re.findall(r"\b[A-Z]\w+", columns[0])):
            if name in fl.LAYERS:
                by_layer.setdefault(name, []).append(re.sub(r"^`(.*?)`$", r"`\1`", columns[0].strip()))
    return by_layer


def options() -> str:
    ignored = ", ".join(f"`{name}`" for name, value in NEUTRAL.items() if value is ...)
    neutral = ", ".join(f"`{name}={value!r}`" for name, value in NEUTRAL.items() if value is not ...)
    ours = ", ".join(f"`{name}`" for name in OURS)
    return (
        "## Arguments\n\nAll arguments of Keras's layers are there, but for a few ([deviations](deviations.md#arguments)). In a file "
        f"{ignored} are passed over; {neutral} are accepted with these values alone. Of our own, {ours} cannot be written where they are "
        "set. `use_causal_mask`, `return_attention_scores` are options of a call in Keras and fields here; states, keys and attention "
        "masks are inputs.\n\n"
    )


def functions() -> str:
    def listed(table: object, named: bool) -> str:
        return ", ".join(f"`{name}`" for name in sorted(table) if name[0].isupper() is named)  # type: ignore[call-overload]

    return (
        "## Functions\n\n"
        f"Activations: {listed(ACTIVATIONS, False)}. Keras's `sparsemax` is `legacy_sparsemax` here.\n\n"
        f"Initializers: {listed(INITIALIZERS, True)}. Regularizers: {listed(REGULARIZERS, True)}. "
        f"Constraints: {listed(CONSTRAINTS, True)}.\n\n"
        f"Operations of a graph (`keras.ops`): {listed(OPERATIONS, True)}.\n\n"
    )


def refused() -> str:
    names = [
        name for name in fl.LAYERS if (name in UNNAMED or name in INSTEAD) and name not in MODELS | KERAS_ONLY_AS_NODES
    ]
    rows = (
        f"| `{name}` | {WHY.get(name, WHY[''])} | {INSTEAD.get(name, INSTEAD[''])} |\n"
        for name in names
        if name not in ("DropMask", "CopyMask")
    )
    return "".join(rows) + "\n"


def deviations() -> str:
    return (
        "## Where numbers differ\n\n[deviations.md](deviations.md) lists each difference with its reason and the test that holds it. A "
        "model that `load_keras` read behaves as in Keras where an option says so (`keras_masks`). In a file that `save_keras` wrote, "
        "Keras computes as Keras does: a query that may attend to nothing gets the mean of all values there, and 0 here.\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page())
