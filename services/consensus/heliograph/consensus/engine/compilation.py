"""Compiling the engine's plain functions with numba, and keeping the machine code on disk."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.extending import register_jitable

from heliograph.common import outcomes

F = TypeVar("F", bound=Callable[..., Any])

_inner = register_jitable(error_model="numpy", no_cfunc_wrapper=True, forceinline=True)
_outer = numba.njit(error_model="numpy", nogil=True, cache=True)


def compiled(function: F) -> F:
    """Let a plain function be compiled into the kernels that call it; called from Python it runs as it is."""
    registered: F = _inner(function)
    return registered


def compiled_on_disk(function: F) -> F:
    """A kernel; its machine code is kept beside its source.

    numba takes a kept kernel for current as long as the file of the outermost function is; the fingerprint in
    the name makes it depend on every file that the kernel is compiled from.
    """
    function.__qualname__ = f"{function.__qualname__}_{fingerprint()}"
    return cast("F", _outer(function))


def fingerprint() -> str:
    """The first 16 hex digits of the SHA-256 over all sources of the kernel."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(inspect.getfile(outcomes))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]
