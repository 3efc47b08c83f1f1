"""What a mistake makes of a node of the syntax tree, by kind."""

import ast
import copy
import re
from collections.abc import Iterator

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
}
NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "argmax": "argmin",
    "argmin": "argmax",
    "mean": "sum",
    "sum": "mean",
    "floor": "ceil",
    "ceil": "floor",
    "startswith": "endswith",
    "float64": "float32",
    "float32": "float16",
    "zeros_like": "ones_like",
    "isfinite": "isnan",
}
LOST_FUNCTIONS = {"sorted": "list", "reversed": "list", "abs": "", "deepcopy": ""}
LOST_METHODS = {"clone", "flip", "double", "float", "long", "permute", "resolve", "squeeze", "strip", "t", "transpose"}
MESSAGES = {"debug", "error", "info", "print", "rank_zero_info", "rank_zero_warn", "say", "warn", "warning"}
LOOKS = {"alpha", "aspect", "c", "cmap", "color", "colors", "dpi", "edgecolor", "figsize", "fontsize", "ha", "height"}
LOOKS |= {
    "label",
    "layout",
    "linestyle",
    "linewidth",
    "linewidths",
    "ls",
    "lw",
    "marker",
    "markersize",
    "pad",
    "padding",
}
LOOKS |= {"rotation", "s", "size", "style", "title", "va", "width", "zorder"}
LOOK_CALLS = {
    "colorbar",
    "grid",
    "margins",
    "set_axis_off",
    "set_visible",
    "subplots_adjust",
    "tick_params",
    "tight_layout",
}
QUIET = {
    "check",
    "encoding",
    "errors",
    "exist_ok",
    "help",
    "indent",
    "metavar",
    "non_blocking",
    "parents",
    "stacklevel",
}
QUIET |= {"daemon", "digest_size", "maxsize", "missing_ok", "prog", "strict", "weights_only"} | LOOKS
UNSWAPPED = {"allclose", "array_equal", "cast", "equal", "gcd", "isclose", "max", "maximum", "min", "minimum"}
UNSWAPPED |= {"getattr", "hasattr", "isinstance", "issubclass", "setattr", "super"}
UNSWAPPED |= {"close", "close_numbers"}  # equal but for rounding, whichever is the first
SEEDERS = {"manual_seed", "seed_all", "seed_everything"}
KEPT_DECORATORS = {
    "abstractmethod",
    "cache",
    "cached_property",
    "classmethod",
    "contextmanager",
    "dataclass",
    "overload",
}
KEPT_DECORATORS |= {"override", "property", "rank_zero_only", "setter", "staticmethod"}


def name_of(node: ast.AST) -> str:
    """Return the last part of a dotted name, also of a call of it."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _may_be_dict(node: ast.AST) -> bool:
    """Tell whether `|` may join dictionaries, of which the last one wins; neither sets nor types."""
    if isinstance(node, ast.BinOp):
        return _may_be_dict(node.left) and _may_be_dict(node.right)
    name = name_of(node)
    is_type = name in {"bool", "bytes", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"}
    return isinstance(node, ast.Dict | ast.DictComp) or (name.islower() and not is_type)


def _is_text(node: ast.AST) -> bool:
    """Tell whether an expression is text for people, or the sum of such."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _but(node: ast.AST, **fields: object) -> str:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    text = ast.unparse(changed)
    return f"({text})" if isinstance(node, ast.Compare | ast.BinOp | ast.BoolOp) else text


def wrong_texts(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the kind of each fault of a node, and what stands in its place."""
    match node:
        case ast.Compare():
            for number, operator in enumerate(node.ops):
                operators = [*node.ops]
                operators[number] = COMPARISONS[type(operator)]()
                yield "a comparison is wrong", _but(node, ops=operators)
        case ast.BoolOp():
            yield "and is or", _but(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=ast.Constant(value=int() as number)):
            yield "off by one", str(1 - number)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield "a sign or a not is forgotten", f"({ast.unparse(node.operand)})"
        case ast.BinOp(op=ast.BitOr()) if _may_be_dict(node):
            yield "operands are swapped", _but(node, left=node.right, right=node.left)
        case ast.BinOp() if type(node.op) in OPERATORS and not _is_text(node.left) and not _is_text(node.right):
            yield "an operator is wrong", _but(node, op=OPERATORS[type(node.op)]())
        case ast.AugAssign() if type(node.op) in OPERATORS and not _is_text(node.value):
            yield "an operator is wrong", _but(node, op=OPERATORS[type(node.op)]())
            yield "a statement is forgotten", "pass"
        case ast.Constant():
            yield from _wrong_constants(node.value)
        case ast.Call():
            yield from _wrong_calls(node)
        case ast.Attribute(attr="T"):
            yield "a call is forgotten", ast.unparse(node.value)
        case ast.Attribute() | ast.Name() if name_of(node) in NAMES and isinstance(node.ctx, ast.Load):
            yield "another function", re.sub(r"\w+$", NAMES[name_of(node)], ast.unparse(node))
        case ast.Slice(lower=lower, upper=upper):
            for name, side, change in (("lower", lower, "+"), ("upper", upper, "-")):
                if side:
                    other = ast.parse(f"({ast.unparse(side)}) {change} 1", mode="eval").body
                    yield "off by one", _but(node, **{name: other})
        case ast.Dict(keys=[None, *_] | [_, None, *_]) if len(node.keys) == 2:
            yield "operands are swapped", _but(node, keys=node.keys[::-1], values=node.values[::-1])
        case ast.stmt():
            yield from _wrong_statements(node)


def _wrong_constants(value: object) -> Iterator[tuple[str, str]]:
    match value:
        case bool():
            yield "true is false", str(not value)
        case int():
            yield ("off by one", str(value + 1)) if value < 10 else ("a number is wrong", str(2 * value + 1))
        case float() if value == 0 or abs(value) > 1e-7:  # less is there to divide by
            yield "a number is wrong", repr(value * (100 if abs(value) < 0.1 else 1.5) if value else 1.0)
        case str() if re.fullmatch(r"[A-Za-z_][\w./-]*", value):
            yield "a name is wrong", repr(f"{value}_")


def _wrong_calls(node: ast.Call) -> Iterator[tuple[str, str]]:
    name = name_of(node)
    if name in MESSAGES:
        return
    if name in LOST_FUNCTIONS and node.args:
        yield "a call is forgotten", f"{LOST_FUNCTIONS[name]}({ast.unparse(node.args[0])})"
    if name in LOST_METHODS and isinstance(node.func, ast.Attribute) and name_of(node.func.value) != "torch":
        yield "a call is forgotten", ast.unparse(node.func.value)
    plain = [arg for arg in node.args[:2] if not isinstance(arg, ast.Starred) and not _is_text(arg)]
    if name not in UNSWAPPED and len(plain) == 2 and ast.dump(plain[0]) != ast.dump(plain[1]):
        yield "arguments are swapped", _but(node, args=[plain[1], plain[0], *node.args[2:]])
    for keyword in node.keywords:
        if keyword.arg and keyword.arg not in QUIET:
            yield "an argument is forgotten", _but(node, keywords=[one for one in node.keywords if one is not keyword])


def _wrong_statements(node: ast.stmt) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Expr(value=ast.Call() as call) if name_of(call) not in MESSAGES | LOOK_CALLS:
            yield "a statement is forgotten", "pass"
        case ast.Raise() | ast.Delete() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "a statement is forgotten", "pass"
        case ast.Break():
            yield "break is continue", "continue"
        case ast.Continue():
            yield "break is continue", "break"


def wrong_parts(node: ast.AST) -> Iterator[tuple[ast.expr, str, str]]:
    """Yield parts of a node with the kind of each fault and what stands in their place."""
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            if name_of(node.test) != "TYPE_CHECKING" and not isinstance(node.test, ast.Compare | ast.UnaryOp):
                yield node.test, "a condition is the wrong way round", f"(not ({ast.unparse(node.test)}))"
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            for condition in (condition for generator in node.generators for condition in generator.ifs):
                yield condition, "a condition is forgotten", "True"
        case ast.ExceptHandler(type=ast.expr() as caught):
            yield caught, "an exception is not caught", "()"
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            for decorator in node.decorator_list:
                if name_of(decorator) not in KEPT_DECORATORS:
                    yield decorator, "a decorator is forgotten", ""
            if isinstance(node, ast.FunctionDef):
                yield from _wrong_returns(node)


def _wrong_returns(node: ast.FunctionDef) -> Iterator[tuple[ast.expr, str, str]]:
    """Yield the values returned where None is a value that callers expect, or where it is true or false."""
    returned = ast.unparse(node.returns) if node.returns else "None"
    nested = {
        id(inner) for outer in node.body for inner in ast.walk(outer) if isinstance(inner, ast.FunctionDef | ast.Lambda)
    }
    if nested or node.name in {"__repr__", "__str__"}:
        return
    for inner in ast.walk(node):
        if isinstance(inner, ast.Return) and inner.value and not isinstance(inner.value, ast.Constant):
            if returned.endswith("| None"):
                yield inner.value, "nothing is returned", "None"
            elif returned == "bool" and not isinstance(inner.value, ast.Compare | ast.UnaryOp):
                yield inner.value, "a condition is the wrong way round", f"(not ({ast.unparse(inner.value)}))"
