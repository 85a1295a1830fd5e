"""A part of PromQL over series in memory: what the table of alerts uses, with Prometheus's results."""

import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable

import promql_parser as ast

from heliograph.common.errors import InvariantError
from heliograph.gateway.alerts.functions import Vector, quantiles, relabelled
from heliograph.gateway.alerts.series import LOOKBACK_S, Labels, Store, increase, labels_of

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
AGGREGATIONS: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "max": max,
    "min": min,
    "count": lambda values: float(len(values)),
}
SETS = ("and", "or", "unless")


def parse(text: str) -> ast.Expr:
    """The expression.

    Raises:
        InvariantError: it is no PromQL, or uses what is not evaluated here.
    """
    try:
        parsed = ast.parse(text)
    except ValueError as error:
        raise InvariantError(f"{text!r}: {error}") from error
    Evaluation(Store({}), 0.0).value(parsed)
    return parsed


def looks_back(node: ast.Expr) -> dict[str, float]:
    """For each metric that an expression names, how many seconds it looks back."""
    found: dict[str, float] = defaultdict(float)
    match node:
        case ast.MatrixSelector():
            selector, span = node.vector_selector, node.range.total_seconds()
            found[str(selector.name)] = span + _offset(selector)
        case ast.VectorSelector():
            found[str(node.name)] = LOOKBACK_S + _offset(node)
        case _:
            for part in parts(node):
                for name, seconds in looks_back(part).items():
                    found[name] = max(found[name], seconds)
    return dict(found)


def reaches(node: ast.Expr) -> float:
    """How many seconds of a counter's past the expression needs; 0 where the newest samples are enough."""
    if isinstance(node, ast.MatrixSelector):
        return node.range.total_seconds() + _offset(node.vector_selector)
    if isinstance(node, ast.VectorSelector):
        return _offset(node)
    return max((reaches(part) for part in parts(node)), default=0.0)


def parts(node: ast.Expr) -> list[ast.Expr]:
    """The expressions that an expression is made of."""
    match node:
        case ast.BinaryExpr():
            return [node.lhs, node.rhs]
        case ast.Call():
            return list(node.args)
        case ast.ParenExpr() | ast.AggregateExpr():
            return [node.expr]
        case _:
            return []


class Evaluation:
    """The values of expressions at one moment, in seconds since 1970."""

    def __init__(self, store: Store, now: float) -> None:
        self._store = store
        self._now = now

    def vector(self, node: ast.Expr) -> Vector:
        """The value of an expression that gives series.

        Raises:
            InvariantError: it gives a number, or uses what is not evaluated here.
        """
        value = self.value(node)
        if isinstance(value, float):
            raise InvariantError(f"{node}: a number, expected series")
        return value

    def value(self, node: ast.Expr) -> Vector | float:
        """The value of an expression.

        Raises:
            InvariantError: it uses what is not evaluated here.
        """
        match node:
            case ast.NumberLiteral():
                return float(node.val)
            case ast.ParenExpr():
                return self.value(node.expr)
            case ast.VectorSelector():
                return self._selected(node)
            case ast.AggregateExpr():
                return self._aggregated(node)
            case ast.Call():
                return self._called(node)
            case ast.BinaryExpr():
                return self._combined(node)
        raise InvariantError(f"{node}: {type(node).__name__} is not evaluated")

    def _selected(self, node: ast.VectorSelector) -> Vector:
        now = self._now - _offset(node)
        found = ((labels, series.at(now)) for labels, series in self._store.select(str(node.name)))
        return {labels: v for labels, v in found if v is not None and _matches(node, labels)}

    def _increases(self, node: ast.MatrixSelector) -> Vector:
        selector, span = node.vector_selector, node.range.total_seconds()
        end = self._now - _offset(selector)
        found = {
            labels: increase(*series.between(end - span, end), end - span, end)
            for labels, series in self._store.select(str(selector.name))
            if _matches(selector, labels)
        }
        return {labels: grown for labels, grown in found.items() if grown is not None}

    def _aggregated(self, node: ast.AggregateExpr) -> Vector:
        combine = AGGREGATIONS.get(str(node.op))
        by = node.modifier
        if combine is None or (by and by.type != ast.AggModifierType.By):
            raise InvariantError(f"{node}: {node.op} is not evaluated")
        groups: dict[Labels, list[float]] = defaultdict(list)
        for labels, value in self.vector(node.expr).items():
            groups[_only(labels, by.labels if by else ())].append(value)
        return {labels: combine(values) for labels, values in groups.items()}

    def _called(self, node: ast.Call) -> Vector:
        name, args = node.func.name, node.args
        match name, args:
            case (("rate" | "increase"), [ast.MatrixSelector() as selector]):
                grown = self._increases(selector)
                seconds = selector.range.total_seconds() if name == "rate" else 1.0
                return {labels: value / seconds for labels, value in grown.items()}
            case "histogram_quantile", [ast.NumberLiteral() as share, buckets]:
                return quantiles(float(share.val), self.vector(buckets))
            case "label_replace", [source, *texts]:
                return relabelled(self.vector(source), *(text.val for text in texts))
            case "vector", [ast.NumberLiteral() as number]:
                return {(): float(number.val)}
            case "absent", [ast.VectorSelector() as selector]:
                return {} if self._selected(selector) else {_equalities(selector): 1.0}
        raise InvariantError(f"{node}: {name} is not evaluated")

    def _combined(self, node: ast.BinaryExpr) -> Vector | float:
        sign, left, right = str(node.op), self.value(node.lhs), self.value(node.rhs)
        if isinstance(left, float) and isinstance(right, float):
            return _calculate(sign, left, right)
        if isinstance(right, float) and isinstance(left, dict):
            return _by_pair(sign, ((labels, value, right) for labels, value in left.items()))
        if isinstance(left, float) and isinstance(right, dict) and sign not in COMPARISONS:
            return _by_pair(sign, ((labels, left, value) for labels, value in right.items()))
        if isinstance(left, float) or isinstance(right, float):
            raise InvariantError(f"{node}: expected the number on the right")
        return _matched(node, sign, left, right)


def _matched(node: ast.BinaryExpr, sign: str, left: Vector, right: Vector) -> Vector:
    """Two vectors, their series found by equal labels: all, or those named by `on`."""
    modifier = node.modifier
    matching = modifier.matching if modifier else None
    if matching and matching.type != ast.LabelModifierType.Include:
        raise InvariantError(f"{node}: ignoring is not evaluated")
    on = matching.labels if matching else None

    def key(labels: Labels) -> Labels:
        return labels if on is None else _only(labels, on)

    if sign in SETS:
        lefts, rights = {key(labels) for labels in left}, {key(labels) for labels in right}
        if sign == "or":
            return left | {labels: v for labels, v in right.items() if key(labels) not in lefts}
        return {labels: v for labels, v in left.items() if (key(labels) in rights) == (sign == "and")}
    others: dict[Labels, float] = {}
    for labels, value in right.items():
        if key(labels) in others:
            raise InvariantError(f"{node}: several series on the right for {key(labels)}")
        others[key(labels)] = value
    many = modifier is not None and modifier.card == ast.VectorMatchCardinality.ManyToOne
    return _by_pair(
        sign,
        (
            (labels if many else key(labels), value, others[key(labels)])
            for labels, value in left.items()
            if key(labels) in others
        ),
    )


def _by_pair(sign: str, pairs: Iterable[tuple[Labels, float, float]]) -> Vector:
    if sign in COMPARISONS:
        return {labels: left for labels, left, right in pairs if COMPARISONS[sign](left, right)}
    return {labels: _calculate(sign, left, right) for labels, left, right in pairs}


def _calculate(sign: str, left: float, right: float) -> float:
    if sign == "/":
        if right:
            return left / right
        return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left)
    if sign not in ARITHMETIC:
        raise InvariantError(f"{sign} is not evaluated")
    return ARITHMETIC[sign](left, right)


def _matches(node: ast.VectorSelector, labels: Labels) -> bool:
    named = dict(labels)
    return all(_holds(m, named.get(m.name, "")) for m in node.matchers.matchers)


def _holds(matcher: ast.Matcher, value: str) -> bool:
    if matcher.op in (ast.MatchOp.Equal, ast.MatchOp.NotEqual):
        return (value == matcher.value) == bool(matcher.op == ast.MatchOp.Equal)
    return bool(re.fullmatch(matcher.value, value)) == bool(matcher.op == ast.MatchOp.Re)


def _equalities(node: ast.VectorSelector) -> Labels:
    """The labels that a selector tells for certain."""
    return labels_of({m.name: m.value for m in node.matchers.matchers if m.op == ast.MatchOp.Equal})


def _only(labels: Labels, names: Iterable[str]) -> Labels:
    wanted = set(names)
    return tuple(pair for pair in labels if pair[0] in wanted)


def _offset(node: ast.VectorSelector) -> float:
    return node.offset.total_seconds() if node.offset else 0.0
