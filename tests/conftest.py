import contextlib
import ctypes
import gc
import resource
from pathlib import Path

import jax
import pytest

import chosen_platform  # before the next, which starts the platform
import quick_compilation  # noqa: F401  # before cases, which makes arrays
from cases import CASES, Case, runs_by_default
from fnlayers.ops import compose

# Accelerators multiply float32 matrices in fewer digits unless told otherwise; Keras's numbers have them all.
jax.config.update("jax_default_matmul_precision", "float32")

# jax alone keeps a million objects alive, which Python's collector would walk through again and again.
gc.freeze()
gc.set_threshold(100_000, 50, 50)

ROWS = {platform: dict(table) for platform, table in compose.tables().items()}  # before any are emptied
MEMORY = memory_limit = 1_200_000_000  # bytes of a process


@pytest.fixture
def x64():
    """64-bit numbers, for one test."""
    enable = getattr(jax, "enable_x64", None)
    if enable is None:  # before jax 0.8
        from jax.experimental import enable_x64 as enable
    with enable(True):
        yield


@pytest.fixture
def all_rows(monkeypatch):
    """The rows of fnlayers/ops/cpu and cuda, for one test that shows them, with --references as well."""
    for platform, table in ROWS.items():
        for operation, rows in table.items():
            monkeypatch.setitem(compose.tables()[platform], operation, rows)


@pytest.fixture(scope="module")
def optimized():
    """Programs compiled with all optimizations: for numbers to their last digits, and for trainings."""
    before = jax.config.read("jax_disable_most_optimizations")
    compile_with(most_optimizations_disabled=False)
    yield
    compile_with(most_optimizations_disabled=before)


def compile_with(most_optimizations_disabled):
    jax.config.update("jax_disable_most_optimizations", most_optimizations_disabled)
    jax.clear_caches()  # of programs compiled the other way


def pytest_addoption(parser):
    parser.addoption("--platform", help="the platform of jax, such as cuda or tpu, in place of what JAX_PLATFORMS says")
    parser.addoption("--references", action="store_true", help="empty the rows of fnlayers/ops/cpu and cuda")


def pytest_configure(config):
    chosen_platform.check(config.getoption("platform"))
    if config.getoption("references"):
        # as if there were no algorithms: every operation is its reference
        for table in compose.tables().values():
            table.update(dict.fromkeys(table, ()))


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        # of the session's scope, so that all laws of one case run one after the other, and share what it compiled
        metafunc.parametrize("case", CASES, ids=str, scope="session")


def pytest_collection_modifyitems(items):
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        for case in params.values():
            if isinstance(case, Case) and not runs_by_default(case):
                item.add_marker("slow")
        case = params.get("case")
        law = item.originalname.removeprefix("test_") if case else ""
        if case and law in case.exempt and params.get("name") != "float32":  # where dtypes cannot differ
            item.add_marker(pytest.mark.xfail(reason=case.exempt[law], strict=True))


def pytest_runtest_teardown(item):
    """Give back the memory of compiled programs, which jax keeps for ever, before a process has too much of it."""
    global memory_limit
    if memory_in_use() > memory_limit:
        jax.clear_caches()
        gc.collect()
        release_freed_memory()
        memory_limit = max(memory_limit, memory_in_use() + MEMORY // 3)


def release_freed_memory():
    """Hand what is free back to the system, which glibc otherwise keeps."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def memory_in_use():
    """Bytes of this process that are in memory; 0 where Linux's file that says so is missing."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
