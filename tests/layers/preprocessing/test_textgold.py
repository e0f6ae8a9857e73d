"""Text and tables: every number, dtype and shape of real Keras on TensorFlow, read from records that it wrote.

FNLAYERS_TEXTGOLD names the folder of another set.
"""

import os
from pathlib import Path

import jax
import pytest
import textgold

import fnlayers as fl

FOLDER = Path(os.environ.get("FNLAYERS_TEXTGOLD", textgold.SET))
FOUND = textgold.records(FOLDER)


@pytest.mark.parametrize("record", FOUND["cases"], ids=lambda record: record["id"])
def test_a_record_of_keras(record):
    textgold.check(record)


@pytest.mark.parametrize("record", FOUND["models"], ids=lambda record: record["id"])
def test_a_model_of_keras_and_what_is_saved_of_it(record, tmp_path):
    path, inputs = FOLDER / record["file"], [textgold.array(value) for value in record["inputs"]]
    x = dict(zip(record["input_names"], inputs, strict=True)) if len(inputs) > 1 else inputs[0]
    for _ in range(2):
        try:
            model, params, state, *_ = fl.load_keras(path)
        except fl.LayerError:
            assert record["reload_differs"]
            return
        wanted = record["outputs_before_save"] if record["reload_differs"] else record["outputs"]
        y = model.apply(params, x, state=state)
        for got, value in zip(jax.tree.leaves(y), wanted, strict=True):
            textgold.same(got, value, record["tolerance"], exact_dtype=False)
        path = tmp_path / "saved.keras"
        fl.save_keras(path, model, params, state)
