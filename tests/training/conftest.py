import re

import jax
import pytest


@pytest.fixture
def compilations(caplog):
    """The names of the functions compiled so far in this test, those of the given names alone."""
    pattern = re.compile(r"Compiling (?:jit\()?(\w+)")

    def compiled(*names):
        matches = (pattern.match(record.getMessage()) for record in caplog.records)
        return [match[1] for match in matches if match and match[1] in names]

    with jax.log_compiles():
        yield compiled
