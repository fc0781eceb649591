"""What the mutation tester changes in a module: one comparison, condition, number, operator or statement at a time.

Assertions, annotations, decorators and string constants are not changed.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "&"),
}
SWAPPED_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of a module's source. `old` and `new` are the changed lines, without their indentation."""

    number: int
    line: int
    old: str
    new: str
    source: str

    @property
    def change(self) -> str:
        """The change in one line, as `docs/mutants.md` lists it."""
        return f"`{self.old}` → `{self.new}`"


class _Changes(ast.NodeVisitor):
    """Collects changes as (start, end, replacement), in bytes of the source."""

    def __init__(self, source: bytes) -> None:
        self.found: list[tuple[int, int, str]] = []
        self._source = source
        self._line_starts = [0]
        for line in source.splitlines(keepends=True):
            self._line_starts.append(self._line_starts[-1] + len(line))
        self._in_function = False
        self._last: set[ast.stmt] = set()  # what ends a function: without `return None` it returns None too

    # --- statements ---

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if isinstance(node.body[-1], ast.Expr) and isinstance(node.body[-1].value, ast.Constant):
            return  # a protocol's method, which nobody calls
        outer, self._in_function = self._in_function, True
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        self._last.update(_ends(node.body))
        for statement in node.body:
            self.visit(statement)
        self._in_function = outer

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._delete(node)
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._delete(node)
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._delete(node)
        if type(node.op) in ARITHMETIC:
            old, new = ARITHMETIC[type(node.op)]
            self._between(node.target, node.value, old + "=", new + "=")
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self._delete(node)
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._delete(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self._delete(node)

    def visit_Break(self, node: ast.Break) -> None:
        self._delete(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """Left alone: an assertion finds our own faults and does nothing else."""

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self._delete(node)
            return
        if isinstance(node.value, ast.Constant) and node.value.value is None:
            if node not in self._last:
                self._delete(node)
        elif not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool)):
            self._replace(node.value, "None")
        self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self._condition(node.test)
        self._drop(node.orelse)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._replace(node.test, "False")
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        self._drop(node.body)
        if node.guard is not None:
            self._condition(node.guard)
            self.visit(node.guard)
        for statement in node.body:
            self.visit(statement)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._replace(test, "True")
        self.generic_visit(node)

    # --- expressions ---

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            old, others = COMPARISONS[type(operator)]
            for new in others:
                self._between(left, right, old, new)
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, old, new)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        is_of_types = isinstance(node.op, ast.BitOr) and (_is_type(node.left) or _is_type(node.right))
        if type(node.op) in ARITHMETIC and not is_of_types:
            self._between(node.left, node.right, *ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self._replace(node, self._text(node.operand))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value))
        elif isinstance(node.value, int):
            self._replace(node, str(node.value + 1))
            self._replace(node, str(node.value - 1) if node.value else "(-1)")

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in SWAPPED_CALLS:
            self._replace(node.func, SWAPPED_CALLS[node.func.id])
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Left alone: before Python 3.12 what stands in an f-string has no place in the source."""

    # --- helpers ---

    def _offset(self, line: int, column: int) -> int:
        return self._line_starts[line - 1] + column

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _replace(self, node: ast.expr | ast.stmt, new: str) -> None:
        self.found.append((*self._span(node), new))

    def _delete(self, node: ast.stmt) -> None:
        if self._in_function:  # a module without one of its constants does not import
            self._replace(node, "pass")

    def _drop(self, branch: Sequence[ast.stmt]) -> None:
        """A branch of several statements; of one statement its deletion says the same."""
        if len(branch) > 1 or (branch and isinstance(branch[0], ast.For | ast.If | ast.While | ast.With | ast.Try)):
            self.found.append((self._span(branch[0])[0], self._span(branch[-1])[1], "pass"))

    def _condition(self, test: ast.expr) -> None:
        for new in ("True", "False"):
            self._replace(test, new)

    def _between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        start, end = self._span(left)[1], self._span(right)[0]
        gap = self._source[start:end].decode()
        at = gap.find(old)
        if at >= 0:
            first = start + len(gap[:at].encode())
            self.found.append((first, first + len(old.encode()), new))


def _ends(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements behind which nothing comes."""
    for last in body[-1:]:
        yield last
        inner = [*getattr(last, "handlers", []), *getattr(last, "cases", [])]
        if not isinstance(last, ast.For | ast.While):
            for some in (getattr(last, "body", []), getattr(last, "orelse", []), *(each.body for each in inner)):
                yield from _ends(some)


def _is_type(node: ast.expr) -> bool:
    """Whether `A | B` is a union of types: a class's name begins with a capital and goes on in small letters."""
    if isinstance(node, ast.BinOp):
        return _is_type(node.right)
    return isinstance(node, ast.Name) and node.id[:1].isupper() and not node.id.isupper()


def mutants_of(source: str) -> list[Mutant]:
    """Every mutant of a module's source, in the order of its lines. Changes that do not compile are left out."""
    data = source.encode()
    changes = _Changes(data)
    changes.visit(ast.parse(source))
    result: list[Mutant] = []
    seen = {source}
    for start, end, new in sorted(set(changes.found)):
        changed = (data[:start] + new.encode() + data[end:]).decode()
        if changed in seen or not _compiles(changed):
            continue
        seen.add(changed)
        before, after = _changed_lines(source, changed)
        result.append(Mutant(len(result) + 1, data[:start].count(b"\n") + 1, before, after, changed))
    return result


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except (SyntaxError, SyntaxWarning):
        return False
    return True


def _changed_lines(before: str, after: str) -> tuple[str, str]:
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    removed, added = (" ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in ("- ", "+ "))
    return removed, added
