import pytest


@pytest.fixture(scope="module", autouse=True)
def to_the_last_digits(optimized):
    """Functions are compared with Keras's within 1e-7, where optimized programs differ from others."""
