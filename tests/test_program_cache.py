"""Compiled programs in a folder: read in place of compiling, said so, and counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

NAMES = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture
def settings():
    """The process's settings of jax, as they were afterwards."""
    before = {name: getattr(jax.config, name) for name in NAMES}
    yield
    fl.compilation_cache(None)
    for name, value in before.items():
        jax.config.update(name, value)


def compiled(x):
    """The result of a program that no other test compiles; of a new function, so that jax has it in no memory."""
    layer = fl.Dense(5, activation="tanh")
    return jax.jit(lambda params, x: layer.apply(params, x))(
        {"kernel": jnp.full((7, 5), 0.25), "bias": jnp.arange(5.0)}, x
    )


def test_a_program_is_read_where_it_was_compiled_before(settings, tmp_path, capsys):
    x = jnp.linspace(-1, 1, 21).reshape(3, 7)
    first = fl.compilation_cache(tmp_path / "new" / "folder", least_seconds=0)
    y = compiled(x)
    assert first.misses > 0 and first.hits == 0 and first.folder == tmp_path / "new" / "folder"
    assert capsys.readouterr().out == ""
    second = fl.compilation_cache(str(tmp_path / "new" / "folder"), least_seconds=0)
    np.testing.assert_array_equal(compiled(x), y)
    assert second.hits > 0 and second.misses == 0
    assert capsys.readouterr().out.count("compilation cache: read a program, which saved") == second.hits
    assert fl.compilation_cache(None) is None and jax.config.jax_compilation_cache_dir is None
    compiled(x)
    assert capsys.readouterr().out == ""


def test_programs_that_compile_fast_are_not_stored(settings, tmp_path):
    cache = fl.compilation_cache(tmp_path, least_seconds=1000, verbose=False)
    compiled(jnp.ones((2, 7)))
    assert (cache.hits, cache.misses) == (0, 0) and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folder", "options", "text"),
    [
        (3, {}, "takes the path of a folder, got 3"),
        ("", {}, "takes the path of a folder"),
        (__file__, {}, "is a file; give a folder"),
        ("x", {"least_seconds": -1}, "least_seconds=-1; give seconds of at least 0"),
    ],
)
def test_what_is_no_folder(folder, options, text):
    with pytest.raises(fl.ConfigError, match=text):
        fl.compilation_cache(folder, **options)
