"""Compiled programs in a folder, so that the next process reads them instead of compiling them again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax import monitoring
from jax.experimental.compilation_cache import compilation_cache as jax_cache

from fnlayers.core.errors import ConfigError

__all__ = ["CompilationCache", "compilation_cache"]

_SAVED = "/jax/compilation_cache/compile_time_saved_sec"  # for each program that was read
_MISSED = "/jax/compilation_cache/cache_misses"  # for each that was compiled and written


@dataclass
class CompilationCache:
    """What a folder of compiled programs has done for this process so far.

    Arguments:
        folder: the folder.
        hits: programs that were read from it.
        misses: programs that were compiled and written to it.
        seconds_saved: of compiling, less those of reading.
    """

    folder: Path
    hits: int = 0
    misses: int = 0
    seconds_saved: float = 0.0


class _Current:
    """The process's cache: jax has one, and calls listeners for good."""

    cache: CompilationCache | None = None
    verbose = True
    listening = False


def compilation_cache(
    folder: str | Path | None = "~/.cache/fnlayers/programs", *, least_seconds: float = 1.0, verbose: bool = True
) -> CompilationCache | None:
    """Store compiled programs in a folder, and read from it those that are there: all that this process compiles.

    A program is found by its operations, shapes, compiler's options, jax's version and the kind of device, so that a
    folder may serve many programs and versions. It is jax's own cache; what else it can do is set by
    `jax.config` (`jax_compilation_cache_max_size`, ...). Only read folders that you trust: programs are machine code.

    Arguments:
        folder: where; it is made if need be. None: no folder any more.
        least_seconds: programs that compile faster are not stored.
        verbose: whether to say so for each program that is read.

    Returns:
        What the folder has done so far, which goes on counting; None without a folder.

    Example:
        >>> cache = compilation_cache("programs")  # doctest: +SKIP
        >>> fitted = fl.fit(model, data, loss=loss, optimizer=optimizer)  # doctest: +SKIP
        compilation cache: read a program, which saved 6.2 s of compiling
        >>> cache.hits, cache.misses  # doctest: +SKIP
        (1, 0)
    """
    if not isinstance(least_seconds, (int, float)) or isinstance(least_seconds, bool) or least_seconds < 0:
        raise ConfigError(f"compilation_cache: least_seconds={least_seconds!r}; give seconds of at least 0")
    path = None if folder is None else _folder(folder)
    jax.config.update("jax_compilation_cache_dir", None if path is None else str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", float(least_seconds))
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)  # however small
    jax_cache.reset_cache()  # it looks at the folder's name once
    _Current.cache, _Current.verbose = None if path is None else CompilationCache(path), verbose
    if not _Current.listening:
        monitoring.register_event_listener(_missed)
        monitoring.register_event_duration_secs_listener(_read)
        _Current.listening = True
    return _Current.cache


def _folder(folder: Any) -> Path:
    """The folder, which is there."""
    if not isinstance(folder, (str, Path)) or not str(folder):
        raise ConfigError(f"compilation_cache takes the path of a folder, got {folder!r}")
    path = Path(folder).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"compilation_cache: {path} is a file; give a folder") from error
    return path


def _missed(event: str, **_: Any) -> None:
    if event == _MISSED and _Current.cache is not None:
        _Current.cache.misses += 1


def _read(event: str, duration_secs: float, **_: Any) -> None:
    if event != _SAVED or _Current.cache is None:
        return
    _Current.cache.hits += 1
    _Current.cache.seconds_saved += duration_secs
    if _Current.verbose:
        print(f"compilation cache: read a program, which saved {duration_secs:.1f} s of compiling", flush=True)
