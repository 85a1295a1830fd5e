"""Compiled plug-ins: a plain function over one symbol's record, called from inside the kernel by its address.

The kernel is compiled once and kept on disk, whatever plug-ins there are: each is compiled by itself, in a
moment, and the kernel is told where it lies. So a plug-in runs in the same place of the same code, bar by
bar, for the services and for a backtest by columns; it sees what the kernel holds up to the newest bar, and
there is nothing later that it could see.
"""

import dis
import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import carray, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.core.errors import NumbaError
from numba.extending import intrinsic

from heliograph.common.errors import InputError
from heliograph.consensus.engine.compilation import compiled, compiled_on_disk
from heliograph.consensus.engine.layout import (
    ABSTAIN,
    PROGRAM,
    SYMBOL,
    Integers,
    Program,
    Records,
    Symbol,
    Table,
)
from heliograph.consensus.engine.rules import Rules
from heliograph.consensus.engine.votes import EXACT

Vote = Callable[[Symbol], tuple[int, float]]
Sums = tuple[float, float, float, float, float]
POINTS: Final = 100.0
WRITES: Final = frozenset(("STORE_ATTR", "STORE_SUBSCR", "DELETE_ATTR", "DELETE_SUBSCR"))
_RECORD = numba.from_dtype(SYMBOL)
_ENTRY = types.int64(
    types.CPointer(_RECORD),  # type: ignore[no-untyped-call]
    types.CPointer(types.float64),  # type: ignore[no-untyped-call]
)


@functools.cache
def address_of(vote: Vote) -> int:
    """Where a plug-in's machine code lies; it stays as long as the process does.

    Raises:
        InputError: it writes to what it is shown, or it cannot be compiled.
    """
    name = f"{vote.__module__}.{vote.__qualname__}"
    writes = sorted({step.opname for step in dis.get_instructions(vote) if step.opname in WRITES})
    if writes:
        raise InputError(f"vote: {name} writes ({', '.join(writes)}), expected one that only reads")
    inner = numba.njit(error_model="numpy")(vote)

    def entry(place: Any, confidence: Any) -> int:
        direction, conviction = inner(carray(place, 1)[0])
        carray(confidence, 1)[0] = conviction
        return int(direction)

    try:
        made = numba.cfunc(_ENTRY, error_model="numpy")(entry)
    except (NumbaError, KeyError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"vote: {name} cannot be compiled ({reason})") from error
    _KEPT.append(made)
    return cast("int", made.address)


_KEPT: list[Any] = []
"""What is compiled must not be thrown away while the kernel may call it."""


def programs_of(sources: Sequence[Any]) -> Records:
    """What the kernel must know of compiled plug-ins, of PROGRAM; shape (sources,).

    Raises:
        InputError: one cannot be compiled.
    """
    found = np.zeros(len(sources), PROGRAM)
    for place, source in enumerate(sources):
        found[place] = (address_of(source.vote), source.minimum_bars, ABSTAIN, 0.0, 0)
    return found


def _call(typing: Any, address: Any, symbol: Any) -> Any:  # noqa: ARG001 - numba's signature
    """The direction and the confidence that the plug-in at an address gives of a record."""
    both = types.Tuple((types.int64, types.float64))  # type: ignore[no-untyped-call]
    signature = both(types.int64, symbol)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, real = ir.IntType(64), ir.DoubleType()
        bytes_ = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(word, [bytes_, real.as_pointer()])
        function = builder.inttoptr(args[0], kind.as_pointer())
        confidence = cgutils.alloca_once(builder, real)  # type: ignore[no-untyped-call]
        record = builder.bitcast(args[1], bytes_)
        direction = builder.call(function, [record, confidence])
        return context.make_tuple(builder, signature.return_type, (direction, builder.load(confidence)))

    return signature, lower


call = cast("Callable[[int, Symbol], tuple[int, float]]", intrinsic(_call))


@compiled
def ask(program: Program, symbol: Symbol, rules: Rules) -> None:
    """Let a plug-in vote on the newest bar, by the rules for all sources: capped, none under the floor.

    With too few bars it abstains. What is no vote is kept as it is and marked `wrong`.
    """
    program.direction, program.confidence = ABSTAIN, 0.0
    if symbol.bars < program.minimum_bars:
        return
    direction, confidence = call(program.address, symbol)
    known = -1 <= direction <= ABSTAIN
    if not (known and 0.0 <= confidence <= 1.0):
        program.direction, program.confidence, program.wrong = direction, confidence, 1
    elif direction != ABSTAIN and confidence >= rules.floor / POINTS - EXACT:
        program.direction, program.confidence = direction, min(confidence, rules.cap / POINTS)


@compiled
def tally_programs(
    sums: Sums, symbol: Symbol, view: int, table: Table, programs: Records, rules: Rules
) -> Sums:
    """Let the plug-ins vote, and add them to a `tally`."""
    eligible, voted, balance, longs, shorts = sums
    for place in range(programs.size):
        program: Program = programs[place]
        ask(program, symbol, rules)
        weight = table.others[view, place]
        if weight <= 0.0 or symbol.bars < program.minimum_bars:
            continue
        eligible += weight
        direction = program.direction
        if direction == ABSTAIN:
            continue
        voted += weight
        balance += weight * direction * program.confidence
        if direction > 0:
            longs += weight
        elif direction < 0:
            shorts += weight
    return eligible, voted, balance, longs, shorts


@compiled_on_disk
def ask_rows(symbols: Records, rows: Integers, programs: Records, rule: Records, ballots: Records) -> None:
    """Let plug-ins vote on some symbols.

    Args:
        symbols: of the layout SYMBOL; `rows` which of them, shape (n,).
        programs: of PROGRAM, shape (sources,).
        rule: the rules, shape (1,).
        ballots: receives the programs with what they say of each row, shape (n · sources,).
    """
    rules: Rules = rule[0]
    for position in range(rows.size):
        for place in range(programs.size):
            number = position * programs.size + place
            ballots[number] = programs[place]
            ask(ballots[number], symbols[rows[position]], rules)
