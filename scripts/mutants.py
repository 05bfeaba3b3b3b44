"""The ways to break the integration, one small thing at a time.

They are mutmut's, and four of this file. Not broken are annotations, docstrings, decorators, what
is logged, and the letters' case of texts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
import difflib
import gc
from pathlib import Path
import re
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeAliasType

sys.path.append(".python/mutation")
import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.file_mutation import NEVER_MUTATE_FUNCTION_CALLS
from mutmut.mutation.mutators import mutation_operators

PACKAGE = Path("custom_components/ochno")
MUTATED = ("operated/*.py", "oauth.py", "coordinator.py", "push.py")

type Functions = dict[str, FunctionType]  # by qualified names


def negated(node: cst.If | cst.While | cst.CompIf) -> Iterator[cst.CSTNode]:
    if not isinstance(node.test, cst.Comparison | cst.UnaryOperation | cst.BooleanOperation):
        parens = {"lpar": [cst.LeftParen()], "rpar": [cst.RightParen()]}
        yield node.with_changes(
            test=cst.UnaryOperation(cst.Not(), node.test.with_changes(**parens))
        )


def left_out(node: cst.Expr | cst.Raise) -> Iterator[cst.CSTNode]:
    if isinstance(node, cst.Raise) or isinstance(node.value, cst.Call | cst.Await):
        yield cst.Pass()


def returns_nothing(node: cst.Return) -> Iterator[cst.CSTNode]:
    if node.value is None:
        yield cst.Pass()
    elif code(node.value) != "None":
        yield node.with_changes(value=cst.Name("None"))


def not_caught(node: cst.ExceptHandler) -> Iterator[cst.CSTNode]:
    never = cst.Name("GeneratorExit")
    if isinstance(node.type, cst.Tuple):
        for element in node.type.elements:
            yield node.with_deep_changes(element, value=never)
    elif node.type is not None:
        yield node.with_changes(type=never)


OPERATORS = (
    *mutation_operators,
    (cst.If | cst.While | cst.CompIf, negated),
    (cst.Expr | cst.Raise, left_out),
    (cst.Return, returns_nothing),
    (cst.ExceptHandler, not_caught),
)


@dataclass
class Mutant:
    path: Path
    name: str
    function: str
    outermost: str  # function, which is replaced to break it; none if it is run on import
    lines: dict[str, set[int]]  # by files, that must run for a test to notice
    module: cst.Module
    change: tuple[cst.CSTNode, cst.CSTNode]
    tried: set[str] = field(default_factory=set)  # on these tests


def code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def is_noise(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.Call):
        function = code(node.func)
        return function in NEVER_MUTATE_FUNCTION_CALLS or function.startswith("LOGGER.")
    if isinstance(node, cst.Expr):
        return code(node).startswith("LOGGER.debug")
    return isinstance(node, cst.Annotation | cst.Decorator | cst.TypeAlias | cst.Import)


def changed(before: str, after: str) -> str:
    lines = [*difflib.ndiff(before.splitlines(), after.splitlines())]
    return " → ".join(
        " ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )


class Mutator(cst.CSTVisitor):
    """Collects the mutants of one file."""

    def __init__(self, path: Path) -> None:
        wrapper = MetadataWrapper(cst.parse_module(path.read_text()))
        self.path, self.module = path, wrapper.module
        self.positions = wrapper.resolve(PositionProvider)
        self.parents = wrapper.resolve(ParentNodeProvider)
        self.mutants: list[Mutant] = []
        self.module.visit(self)

    def on_visit(self, node: cst.CSTNode) -> bool:
        if is_noise(node):
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind) and (made := list(operator(node))):
                self._add(node, made[:1] if isinstance(node, cst.BaseString) else made)
        return True

    def _add(self, node: cst.CSTNode, made: Iterable[cst.CSTNode]) -> None:
        statement, around = node, []
        while not isinstance(statement, cst.BaseStatement | cst.ExceptHandler | cst.MatchCase):
            statement = self.parents[statement]
        outer = statement
        while outer := self.parents.get(outer):
            if isinstance(outer, cst.FunctionDef | cst.ClassDef):
                around.insert(0, outer)
        names = ".".join(outer.name.value for outer in around)
        inner = [isinstance(outer, cst.FunctionDef) for outer in around]
        outermost = ".".join(names.split(".")[: inner.index(True) + 1]) if any(inner) else ""
        lines = self._lines(statement) if outermost else _mentions(statement)
        where = f"{self.path.relative_to(PACKAGE)} {names}"
        for one in made:
            new = one if node is statement else statement.deep_replace(node, one)
            name = f"{where}: {changed(code(statement), code(new))}"
            self.mutants.append(
                Mutant(self.path, name, where, outermost, lines, self.module, (statement, new))
            )

    def _lines(self, statement: cst.CSTNode) -> dict[str, set[int]]:
        """Return the lines of a statement, without those of its body."""
        span, body = self.positions[statement], getattr(statement, "body", None)
        end = span.end.line + 1
        if isinstance(body, cst.IndentedBlock):
            end = max(span.start.line + 1, self.positions[body.body[0]].start.line)
        return {str(self.path): set(range(span.start.line, end))}


def _mentions(statement: cst.CSTNode) -> dict[str, set[int]]:
    """Return the lines that name what a statement assigns, or a function whose default it is."""
    if not (name := re.search(r"(?m)^ *(?:async |def )*(\w+)\b.* = ", code(statement))):
        return {}
    return {
        str(path): {
            number
            for number, line in enumerate(path.read_text().splitlines(), start=1)
            if re.search(rf"\b{name[1]}\b", line)
        }
        for path in PACKAGE.rglob("*.py")
    }


def all_mutants() -> list[Mutant]:
    paths = [path for pattern in MUTATED for path in sorted(PACKAGE.glob(pattern))]
    return [mutant for path in paths for mutant in Mutator(path).mutants]


class ImportedBadlyError(Exception):
    """The mutant can not even be imported, which any test would notice."""


def functions_of(path: Path, module: ModuleType | None = None) -> Functions:
    """Find the functions of a file's module, behind whatever decorators."""
    module = module or _module_of(path)
    return {
        one.__qualname__: one
        for one in gc.get_objects()
        if isinstance(one, FunctionType)
        and one.__globals__ is vars(module)
        and one.__code__.co_filename == str(path.absolute())
    }


def _module_of(path: Path) -> ModuleType:
    """Return the loaded module of a file."""
    return sys.modules[".".join(path.with_suffix("").parts).removesuffix(".__init__")]


def put_in_place(mutant: Mutant, functions: Functions) -> None:
    """Make the loaded module what it would be had it been imported from the mutant's source."""
    module = _module_of(mutant.path)
    source = mutant.module.deep_replace(*mutant.change).code
    compiled = compile(source, str(mutant.path.absolute()), "exec")
    if mutant.outermost:
        codes = [compiled]
        for outer in codes:
            codes += [one for one in outer.co_consts if isinstance(one, CodeType)]
        [inner] = [one for one in codes if one.co_qualname == mutant.outermost]
        function = functions[mutant.outermost]
        # Without its super(), it must take the cell of the class all the same.
        function.__code__ = inner.replace(co_freevars=function.__code__.co_freevars)
        return
    fresh = ModuleType(module.__name__)
    vars(fresh).update(__package__=module.__package__, __file__=module.__file__)
    try:
        exec(compiled, vars(fresh))  # noqa: S102 - it is the project's own
    except Exception as err:
        raise ImportedBadlyError from err
    for name, function in functions_of(mutant.path, fresh).items():
        functions[name].__defaults__ = function.__defaults__
        functions[name].__kwdefaults__ = function.__kwdefaults__
    for name, value in vars(fresh).items():
        if isinstance(value, type) and value.__module__ == module.__name__:
            _renew_class(vars(module)[name], value)
        elif not name.startswith("__") and not isinstance(value, FunctionType | TypeAliasType):
            _renew_value(name, vars(module)[name], value)


def _renew_class(old: type, new: type) -> None:
    for name, value in vars(new).items():
        plain = not name.startswith("__") and isinstance(value, str | int | None)
        if plain or name in ("__eq__", "__repr__"):
            setattr(old, name, value)


def _renew_value(name: str, old: Any, new: Any) -> None:
    """Replace what a name stands for, wherever it was imported."""
    for known, module in list(sys.modules.items()):
        ours = known.startswith(("custom_components.", "tests."))
        if ours and vars(module).get(name) is old:
            setattr(module, name, new)
