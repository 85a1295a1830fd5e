"""Compiling the engine's plain functions with numba, and keeping the machine code on disk."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload, register_jitable

from heliograph.common import outcomes

F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A", bound=np.ndarray[Any, Any])

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


def _borrowed(typing: Any, array: Any) -> Any:  # noqa: ARG001 - numba's signature
    """The array without its owner."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = context.make_array(signature.return_type)(context, builder, args[0])
        for name in ("meminfo", "parent"):
            field = getattr(found, name)
            setattr(found, name, cgutils.get_null_value(field.type))  # type: ignore[no-untyped-call]
        return found._getvalue()  # noqa: SLF001 - numba's own way

    return array(array), lower


_without_owner = cast("Callable[[Any], Any]", intrinsic(_borrowed))


def borrowed(array: A) -> A:
    """A kernel's argument as a view that owns nothing: its caller keeps it alive.

    numba counts the references of each array that it hands to another function, by atomic operations
    that took a sixth of the kernel's time and hid from the compiler what stays the same.
    """
    return array


@overload(borrowed)
def _borrowed_when_compiled(array: Any) -> Any:  # noqa: ARG001 - its type is all that counts
    def found(array: Any) -> Any:
        return _without_owner(array)

    return found


def _same(typing: Any, one: Any, other: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Whether two records lie in the same place."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.icmp_unsigned("==", *args)

    return types.boolean(one, other), lower


_same_place = cast("Callable[[Any, Any], bool]", intrinsic(_same))


def same(one: Any, other: Any) -> bool:
    """Whether two records are known to be one; outside of a kernel that is never known."""
    return one is other


@overload(same)
def _same_when_compiled(one: Any, other: Any) -> Any:  # noqa: ARG001 - their types are all that counts
    def found(one: Any, other: Any) -> bool:
        return _same_place(one, other)

    return found


def _ahead(typing: Any, record: Any, offset: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Ask for the cache line of a byte of a record."""

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        byte, word = ir.IntType(8), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), word, word, word])
        prefetch = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, "llvm.prefetch.p0i8"
        )
        place = builder.gep(builder.bitcast(args[0], byte.as_pointer()), [args[1]])
        # For reading, into all caches, of data.
        builder.call(prefetch, [place, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(record, types.int64), lower


_line_ahead = cast("Callable[[Any, int], None]", intrinsic(_ahead))


def fetch_ahead(record: Any, offset: int) -> None:
    """Have the processor fetch the cache line of a byte of a record before it is needed; changes nothing."""


@overload(fetch_ahead)
def _fetch_ahead_when_compiled(record: Any, offset: Any) -> Any:  # noqa: ARG001 - as above
    def found(record: Any, offset: Any) -> None:
        _line_ahead(record, offset)

    return found


def fingerprint() -> str:
    """The first 16 hex digits of the SHA-256 over all sources of the kernel."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(inspect.getfile(outcomes))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]
