"""From text to a plan: a white list of what may stand in a condition, checked name by name and kind by kind."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from crypto_mcp.analysis.indicators import Indicator
from crypto_mcp.conditions.arguments import MAX_CONSTANT, matched, option, plain_number
from crypto_mcp.conditions.faults import fault, kind_of_node, text_of, unknown
from crypto_mcp.conditions.functions import EVENTS, FUNCTIONS, NAMES, OUTPUTS, SERIES, TF, Argument, Function
from crypto_mcp.conditions.habits import of_separator
from crypto_mcp.conditions.history import bars_needed, within
from crypto_mcp.conditions.plan import Builder, Kind, Plan
from crypto_mcp.conditions.source import read
from crypto_mcp.conditions.typing_rules import Mismatch, combined, comparable
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.timeframes import Timeframe

MAX_NODES, MAX_DEPTH, MAX_STEPS = 200, 30, 400
MAX_SHIFT, MAX_LOOKBACK = 500, 20_000

_OPERATORS: dict[type[ast.AST], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISONS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "is below"),
    ast.LtE: ("<=", "is at most"),
    ast.Gt: (">", "is above"),
    ast.GtE: (">=", "is at least"),
    ast.Eq: ("==", "equals"),
    ast.NotEq: ("!=", "differs from"),
}
_INSTEAD = {
    "BitAnd": "Write and.",
    "BitOr": "Write or.",
    "Invert": "Write not.",
    "Mod": "A percent sign stands right after a number: 5%.",
    "IfExp": "Write and, or.",
}


@dataclass(frozen=True, slots=True)
class Term:
    """A part of the condition: its step, its kind, and how it reads."""

    step: int
    kind: Kind
    words: str


class Parser:
    """Builds one plan; a `tf()` inside gets a parser of its own."""

    def __init__(self, text: str, *, inside_tf: bool = False) -> None:
        self.text = text
        self.builder = Builder()
        self.inside_tf = inside_tf
        self.nodes = 0

    def term(self, node: ast.expr, depth: int = 0) -> Term:
        """The term of any node. ConditionError for what is not of the language."""
        self.nodes += 1
        if depth > MAX_DEPTH:
            raise fault(node, f"this is nested more than {MAX_DEPTH} deep")
        if self.nodes > MAX_NODES or len(self.builder.steps) > MAX_STEPS:
            raise fault(node, f"the condition has more than {MAX_NODES} parts")
        if isinstance(node, ast.Name):
            return self._name(node, node.id)
        for kind, read_it in self.READERS.items():
            if isinstance(node, kind):
                return read_it(self, node, depth)
        raise fault(node, f"{kind_of_node(node)} does not belong in a condition", advice=of_separator(self.text))

    def condition(self, node: ast.expr, depth: int = 0) -> Term:
        """The term, which must be true or false."""
        term = self.term(node, depth)
        if term.kind is not Kind.BOOLEAN:
            raise fault(
                node,
                f"a condition is wanted, and {text_of(node)} is a {term.kind}",
                advice="Compare it with something.",
            )
        return term

    def number(self, node: ast.expr, depth: int) -> Term:
        """The term, which must be a number of some kind."""
        term = self.term(node, depth)
        if term.kind is Kind.BOOLEAN:
            raise fault(node, f"a number is wanted, and {text_of(node)} is a condition")
        return term

    def _constant(self, node: ast.Constant, _: int) -> Term:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float, complex)):
            raise fault(node, f"{text_of(node)} does not stand by itself", advice="Write a comparison.")
        kind = Kind.PERCENT if isinstance(value, complex) else Kind.NUMBER
        return self._of(node, value.imag if isinstance(value, complex) else value, kind)

    def _of(self, node: ast.expr, value: float, kind: Kind) -> Term:
        if not abs(value) <= MAX_CONSTANT:
            raise fault(node, f"{text_of(node)} is not a number up to {MAX_CONSTANT:g}")
        value = float(value)
        return Term(
            self.builder.add("number", options=(value,)), kind, f"{value:g}{' %' if kind is Kind.PERCENT else ''}"
        )

    def _name(self, node: ast.expr, name: str) -> Term:
        if name in SERIES:
            return Term(
                self.builder.add("column", options=("close" if name == "price" else name,)), Kind.NUMBER, f"the {name}"
            )
        if name in OUTPUTS:
            return self._indicator(node, name, [], {}, 0)
        if name in FUNCTIONS and all(argument.default is not None for argument in FUNCTIONS[name].arguments):
            return self._function(node, FUNCTIONS[name], [], {}, 0)
        if name in NAMES:
            example = FUNCTIONS[name].example if name in FUNCTIONS else 'tf("4h", close > ema(50))'
            raise fault(node, f"{name} needs its arguments in brackets", example=example)
        raise unknown(node, name)

    def _joined(self, node: ast.BoolOp, depth: int) -> Term:
        terms = [self.condition(value, depth + 1) for value in node.values]
        word = "and" if isinstance(node.op, ast.And) else "or"
        step = terms[0].step
        for term in terms[1:]:
            step = self.builder.add(word, step, term.step)
        words = f", {word} ".join(
            f"({t.words})" if ", and " in t.words or ", or " in t.words else t.words for t in terms
        )
        return Term(step, Kind.BOOLEAN, words)

    def _unary(self, node: ast.UnaryOp, depth: int) -> Term:
        if isinstance(node.op, ast.Not):
            term = self.condition(node.operand, depth + 1)
            return Term(self.builder.negated(term.step), Kind.BOOLEAN, f"it is not so that {term.words}")
        if not isinstance(node.op, (ast.USub, ast.UAdd)):
            raise fault(node, "~ does not belong in a condition", advice="Write not.")
        term = self.number(node.operand, depth + 1)
        if isinstance(node.op, ast.UAdd):
            return term
        value = self.builder.constant(term.step)
        if value is not None:
            return self._of(node, -value, term.kind)
        return Term(self.builder.add("negative", term.step), term.kind, f"minus {term.words}")

    def _arithmetic(self, node: ast.BinOp, depth: int) -> Term:
        operator = _OPERATORS.get(type(node.op))
        if operator is None:
            raise fault(node, "of arithmetic there is + - * /", advice=_INSTEAD.get(type(node.op).__name__, ""))
        left, right = self.number(node.left, depth + 1), self.number(node.right, depth + 1)
        a, b = self.builder.constant(left.step), self.builder.constant(right.step)
        try:
            kind, scale = combined(operator, left.kind, right.kind, a is not None, b is not None)
        except Mismatch as mismatch:
            raise fault(node, mismatch.what, advice=mismatch.advice) from None
        if a is not None and b is not None:
            return self._folded(node, operator, a, b, kind, scale)
        words = f"({left.words} {operator} {right.words})"
        return Term(
            self._times(self.builder.add("arithmetic", left.step, right.step, options=(operator,)), scale), kind, words
        )

    def _folded(self, node: ast.BinOp, operator: str, a: float, b: float, kind: Kind, scale: float) -> Term:
        if operator == "/" and b == 0:
            raise fault(node, "this divides by zero")
        value = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0.0}[operator]
        return self._of(node, value * scale, kind)

    def _times(self, step: int, scale: float) -> int:
        if scale == 1.0:
            return step
        value = self.builder.constant(step)
        if value is not None:
            return self.builder.add("number", options=(value * scale,))
        return self.builder.add("arithmetic", step, self.builder.add("number", options=(scale,)), options=("*",))

    def _compared(self, node: ast.Compare, depth: int) -> Term:
        sides = [self.number(side, depth + 1) for side in (node.left, *node.comparators)]
        steps, words = [], []
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            if type(operator) not in _COMPARISONS:
                raise fault(node, "is and in do not belong in a condition", advice="Compare with < <= > >= == !=.")
            sign, word = _COMPARISONS[type(operator)]
            steps.append(self._comparison(node, sign, left, right))
            words.append(f"{left.words} {word} {right.words}")
        step = steps[0]
        for other in steps[1:]:
            step = self.builder.add("and", step, other)
        return Term(step, Kind.BOOLEAN, ", and ".join(words))

    def _comparison(self, node: ast.expr, sign: str, left: Term, right: Term) -> int:
        a, b = self.builder.constant(left.step), self.builder.constant(right.step)
        if a is not None and b is not None:
            raise fault(node, "both sides are plain numbers: this never changes")
        try:
            scales = comparable(left.kind, right.kind, a, b)
        except Mismatch as mismatch:
            raise fault(node, mismatch.what, advice=mismatch.advice) from None
        return self.builder.add(
            "compare", self._times(left.step, scales[0]), self._times(right.step, scales[1]), options=(sign,)
        )

    def _shifted(self, node: ast.Subscript, depth: int) -> Term:
        bars = plain_number(node.slice)
        if bars is None or bars != int(bars) or not 0 <= bars <= MAX_SHIFT:
            raise fault(
                node.slice,
                f"in square brackets stands how many bars ago, 0 to {MAX_SHIFT}, not {text_of(node.slice)}",
                example="close > close[1]",
            )
        term = self.term(node.value, depth + 1)
        if self.builder.constant(term.step) is not None:
            raise fault(node, "a plain number is the same on every bar")
        if bars == 0:
            return term
        return Term(self._ago(term.step, int(bars)), term.kind, f"{term.words} {int(bars)} bar{'s'[: bars > 1]} ago")

    def _ago(self, step: int, bars: int) -> int:
        if self.builder.constant(step) is not None:
            return step
        return self.builder.add("shift", step, options=(bars,))

    def _called(self, node: ast.Call, depth: int) -> Term:
        if not isinstance(node.func, ast.Name):
            advice = "An earlier bar is written close[1]." if isinstance(node.func, ast.Attribute) else ""
            raise fault(node, f"{text_of(node.func)} is not a function", advice=advice)
        name = node.func.id
        named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        starred = [argument for argument in node.args if isinstance(argument, ast.Starred)]
        if starred or len(named) < len(node.keywords):
            raise fault(node, "* does not belong before an argument")
        if name == TF:
            return self._higher(node, depth)
        if name in OUTPUTS:
            return self._indicator(node, name, node.args, named, depth)
        if name in FUNCTIONS:
            return self._function(node, FUNCTIONS[name], node.args, named, depth)
        if name in SERIES:
            raise fault(node, f"{name} takes no arguments", advice=f"Write {name}, or {name}[1] for the bar before.")
        raise unknown(node.func, name)

    def _higher(self, node: ast.Call, depth: int) -> Term:
        example = 'tf("4h", close > ema(50))'
        if len(node.args) != 2 or node.keywords:
            raise fault(node, "tf takes a timeframe and an expression", example=example)
        word, inner = node.args
        known = [str(timeframe) for timeframe in Timeframe]
        if not isinstance(word, ast.Constant) or word.value not in known:
            raise fault(
                word, f"{text_of(word)} is not a timeframe", advice=f"There are {', '.join(known)}.", example=example
            )
        if self.inside_tf:
            raise fault(node, "tf does not stand inside tf")
        parser = Parser(self.text, inside_tf=True)
        parser.nodes = self.nodes
        term = parser.term(inner, depth + 1)
        self.nodes = parser.nodes
        if parser.builder.constant(term.step) is not None:
            raise fault(inner, "a plain number is the same in every timeframe")
        plan = parser.builder.plan(term.step)
        step = self.builder.add("tf", options=(str(word.value), plan, node.col_offset + 1))
        return Term(step, term.kind, f"on bars of {word.value}, {term.words}")

    def _indicator(
        self, node: ast.expr, name: str, given: list[ast.expr], named: dict[str, ast.expr], depth: int
    ) -> Term:
        indicator, place = OUTPUTS[name]
        output = indicator.outputs[place]
        usual = f"{name}({', '.join(f'{p.default:g}' for p in indicator.parameters)})"
        if indicator.on_series and "series" in named:
            given = [named.pop("series"), *given]
        source, rest = self._source(indicator, given, depth)
        for argument in (*rest, *named.values()):
            if isinstance(argument, ast.Constant) and argument.value in list(Timeframe):
                raise fault(
                    argument, f"{name} takes no timeframe", advice=f'Write tf("{argument.value}", {name} ...).',
                    example='tf("4h", close > ema(50))',
                )  # fmt: skip
        if len(rest) > len(indicator.parameters):
            raise fault(rest[len(indicator.parameters)], f"{name} takes no such argument", example=usual)
        values: dict[str, float] = {}
        places = [(p.name, argument) for p, argument in zip(indicator.parameters, rest, strict=False)]
        for parameter, argument in (*places, *named.items()):
            value = plain_number(argument)
            if value is None or parameter in values:
                raise fault(argument, f"{parameter} of {name} is a plain number, given once", example=usual)
            values[parameter] = value
        try:
            settings = indicator.values(values)
        except InvalidRequest as error:
            raise fault(node, f"{name}: {error.message}", advice=error.hint, example=usual) from None
        inputs = (source.step,) if source else ()
        found = self.builder.add("indicator", *inputs, options=(indicator.name, settings))
        step = self.builder.add("pick", found, options=(place,))
        described = ", ".join(f"{value:g}" for value in settings)
        words = (
            f"the {output.label}" + (f" ({described})" if described else "") + (f" of {source.words}" if source else "")
        )
        if output.unit == "flag":
            return Term(
                self.builder.add("compare", step, self.builder.add("number", options=(0.5,)), options=(">",)),
                Kind.BOOLEAN,
                words,
            )
        kind = Kind.PERCENT if output.unit == "percent" else Kind.NUMBER
        return Term(step, source.kind if source and output.unit == "source" else kind, words)

    def _source(self, indicator: Indicator, given: list[ast.expr], depth: int) -> tuple[Term | None, list[ast.expr]]:
        """The series that an indicator is taken of, if one is given first, and the other arguments."""
        if not indicator.on_series or not given or plain_number(given[0]) is not None:
            return None, given
        term = self.number(given[0], depth + 1)
        if self.builder.constant(term.step) is not None:
            raise fault(given[0], "an indicator of a plain number never changes")
        # Written out, the default is the same expression as left out.
        is_close = self.builder.steps[term.step].options == ("close",)
        return (None if is_close else term), given[1:]

    def _function(
        self, node: ast.expr, function: Function, given: list[ast.expr], named: dict[str, ast.expr], depth: int
    ) -> Term:
        arguments = matched(node, function, given, named)
        terms: dict[str, Term] = {}
        options: dict[str, int | str] = {}
        for argument in function.arguments:
            if argument.accepts in ("number", "condition"):
                terms[argument.name] = self._expression(node, argument, arguments.get(argument.name), depth)
            else:
                options[argument.name] = option(node, function, argument, arguments.get(argument.name))
        kind = function.result or next(iter(terms.values())).kind
        words = function.words.format(**{name: term.words for name, term in terms.items()}, **options)
        words = words.replace(" 1 bars", " 1 bar")
        return Term(self._built(node, function, list(terms.values()), tuple(options.values())), kind, words)

    def _expression(self, node: ast.expr, argument: Argument, given: ast.expr | None, depth: int) -> Term:
        if given is None:
            return self._name(node, str(argument.default))
        return self.condition(given, depth + 1) if argument.accepts == "condition" else self.number(given, depth + 1)

    def _built(self, node: ast.expr, function: Function, terms: list[Term], options: tuple[int | str, ...]) -> int:
        steps, name, add = [term.step for term in terms], function.name, self.builder.add
        if name in EVENTS:
            return add("event", options=(name, *options))
        if name == "between":
            low, high = (
                self._comparison(node, ">=", terms[0], terms[1]),
                self._comparison(node, "<=", terms[0], terms[2]),
            )
            return add("and", low, high)
        if name.startswith("crosses"):
            return self._crossing(node, name, *terms)
        if len(terms) == 1 and terms[0].kind is not Kind.BOOLEAN and self.builder.constant(steps[0]) is not None:
            raise fault(node, f"{name} of a plain number never changes", example=function.example)
        if name in ("rising", "falling"):
            up = add("compare", steps[0], self._ago(steps[0], 1), options=(">" if name == "rising" else "<",))
            return add("always", up, options=options)
        if len(terms) == 2:
            self._comparison(node, ">", *terms)  # min and max take what could be compared
            if terms[0].kind is not terms[1].kind:
                raise fault(node, f"{name} of a {terms[0].kind} and a {terms[1].kind}", example=function.example)
        return add(name, *steps, options=options)

    def _crossing(self, node: ast.expr, name: str, a: Term, b: Term) -> int:
        if name == "crosses":
            return self.builder.add(
                "or", self._crossing(node, "crosses_above", a, b), self._crossing(node, "crosses_below", a, b)
            )
        now, before = (">", "<=") if name == "crosses_above" else ("<", ">=")
        a_ago, b_ago = (Term(self._ago(t.step, 1), t.kind, t.words) for t in (a, b))
        return self.builder.add("and", self._comparison(node, now, a, b), self._comparison(node, before, a_ago, b_ago))

    READERS: ClassVar[dict[type[ast.expr], Callable[..., Term]]] = {
        ast.Constant: _constant,
        ast.BoolOp: _joined,
        ast.UnaryOp: _unary,
        ast.BinOp: _arithmetic,
        ast.Compare: _compared,
        ast.Subscript: _shifted,
        ast.Call: _called,
    }


def parsed(text: str) -> tuple[Plan, str]:
    """The plan of a condition and how it reads. ConditionError where it is none."""
    node, parser = read(text), Parser(text)
    term = parser.condition(node)
    plan = parser.builder.plan(term.step)
    needed = max(bars_needed(part, Timeframe.H1.milliseconds, frozenset(Timeframe)) for part in within(plan))
    if needed > MAX_LOOKBACK:
        raise fault(node, f"the condition needs {needed} bars of history, more than {MAX_LOOKBACK}")
    sentence = term.words[:1].upper() + term.words[1:] + "."
    return plan, sentence
