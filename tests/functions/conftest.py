import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def optimized():
    """Functions are compared with Keras's to the last digits, which are those of optimized programs."""
    before = jax.config.read("jax_disable_most_optimizations")
    compile_with(most_optimizations_disabled=False)
    yield
    compile_with(most_optimizations_disabled=before)


def compile_with(most_optimizations_disabled):
    jax.config.update("jax_disable_most_optimizations", most_optimizations_disabled)
    jax.clear_caches()  # of programs compiled the other way
