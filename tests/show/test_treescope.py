"""A notebook's treescope shows a layer as its repr does, to unfold."""

import pytest
import treescope

import fnlayers as fl

# treescope looks at all public names of NumPy, also at those that it will drop
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_layers_say_the_options_that_are_not_the_defaults():
    model = fl.Sequential([fl.Conv2D(8, 3, activation="relu"), fl.Flatten(), fl.Dense(3, kernel_regularizer="l2")])
    assert treescope.render_to_text(model) == (
        "Sequential(\n"
        "  layers=(\n"
        "    Conv2D(filters=8, kernel_size=3, activation='relu'),\n"
        "    Flatten(),\n"
        "    Dense(units=3, kernel_regularizer='l2'),\n"
        "  ),\n"
        ")"
    )


def test_a_layer_may_stand_in_any_tree():
    model = fl.functional(x := fl.Input((4,)), fl.Dense(2)(x))
    assert "'model': Functional(" in treescope.render_to_text({"model": model})
    assert "Dense(units=2)" in treescope.render_to_text({"model": model})
