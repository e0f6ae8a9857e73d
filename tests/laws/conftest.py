import pytest

from passes import Passes


@pytest.fixture(scope="session")
def passes(case):
    return Passes(case)
