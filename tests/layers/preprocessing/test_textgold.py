"""Text and tables: every number, dtype and shape of real Keras on TensorFlow, read from records that it wrote.

FNLAYERS_TEXTGOLD names the folder of another set.
"""

import os
from pathlib import Path

import pytest
import textgold

FOLDER = Path(os.environ.get("FNLAYERS_TEXTGOLD", textgold.SET))
FOUND = textgold.records(FOLDER)


@pytest.mark.parametrize("record", FOUND["cases"], ids=lambda record: record["id"])
def test_a_record_of_keras(record):
    textgold.check(record)
