import gc

import jax
import pytest

import chosen_platform  # before cases, which makes arrays
from cases import CASES
from fnlayers.ops.cpu import table

# Accelerators multiply float32 matrices in fewer digits unless told otherwise; Keras's numbers have them all.
jax.config.update("jax_default_matmul_precision", "float32")

# jax alone keeps a million objects alive, which Python's collector would walk through again and again.
gc.freeze()
gc.set_threshold(100_000, 50, 50)


@pytest.fixture
def x64():
    """64-bit numbers, for one test."""
    enable = getattr(jax, "enable_x64", None)
    if enable is None:  # before jax 0.8
        from jax.experimental import enable_x64 as enable
    with enable(True):
        yield


def pytest_addoption(parser):
    parser.addoption("--platform", help="the platform of jax, such as cuda or tpu, in place of what JAX_PLATFORMS says")
    parser.addoption("--tenth", action="store_true", help="hold the laws to one case in ten only")
    parser.addoption("--references", action="store_true", help="empty the rows of fnlayers/ops/cpu")


def pytest_configure(config):
    chosen_platform.check(config.getoption("platform"))
    if config.getoption("references"):
        # as if there were no algorithms: every operation is its reference
        table.TABLES.update(dict.fromkeys(table.TABLES, ()))


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        cases = CASES[::10] if metafunc.config.getoption("tenth") else CASES
        # of the session's scope, so that all laws of one case run one after the other, and share what it compiled
        metafunc.parametrize("case", cases, ids=str, scope="session")


def pytest_collection_modifyitems(items):
    for item in items:
        case = getattr(item, "callspec", None) and item.callspec.params.get("case")
        law = item.originalname.removeprefix("test_") if case else ""
        if case and law in case.exempt and item.callspec.params.get("name") != "float32":  # where dtypes cannot differ
            item.add_marker(pytest.mark.xfail(reason=case.exempt[law], strict=True))
