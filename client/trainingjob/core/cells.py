"""A function of a notebook as a module: the statements of its cells that it needs."""

import ast
import builtins
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainingjob.errors import UserError

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SET_BY_PYTHON = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}
# What IPython puts into the namespace of a notebook.
_OF_NOTEBOOKS = ("get_ipython", "In", "Out", "display", "exit", "quit")


def module_of(cells: Sequence[str], name: str) -> str:
    """The source of a module with a function and what it needs, in the order in which it was run.

    `cells` are those that were run, in Python: IPython's own syntax is translated. What sets a name
    last counts, and what it builds on. What a call changes, as `list.append` does, is not seen.

    Raises:
        UserError: no cell sets something that it needs, or only a notebook has it.
    """
    statements = list(_statements(cells))
    needed: set[int] = set()
    wanted = [(name, name)]
    while wanted:
        one, user = wanted.pop()
        setters = _setters(statements, one)
        if not setters and one not in _SET_BY_PYTHON:
            raise _missing(name, one, user)
        for index in setters - needed:
            needed.add(index)
            wanted += [(used, one) for used in sorted(statements[index].uses)]
    return "\n\n".join(statements[index].source for index in sorted(needed)) + "\n"


@dataclass(frozen=True, slots=True)
class _Statement:
    """A statement of a cell: the names of the notebook that it sets, and that it reads."""

    source: str
    sets: frozenset[str]
    uses: frozenset[str]
    changes: frozenset[str]
    """Those of the set ones whose value before counts, too."""


def _statements(cells: Sequence[str]) -> Iterator[_Statement]:
    """The statements at the top of all cells; a cell that Python cannot read has set nothing."""
    for cell in cells:
        try:
            body = ast.parse(cell).body
        except SyntaxError:
            continue
        yield from (_read(node) for node in body)


def _read(node: ast.stmt) -> _Statement:
    source = ast.unparse(node)
    table = symtable.symtable(source, "<cell>", "exec")
    symbols = table.get_symbols()
    parts = _changed_parts(node)
    sets = {one.get_name() for one in symbols if one.is_assigned() or one.is_imported()} | parts
    uses = {one.get_name() for one in symbols if one.is_referenced()} | set(_used_within(table))
    if isinstance(node, _DEFINITIONS):
        # It may call itself.
        return _Statement(source, frozenset(sets), frozenset(uses - sets), frozenset())
    changes = sets & uses | parts
    if isinstance(node, ast.AugAssign):
        changes |= sets
    return _Statement(source, frozenset(sets), frozenset(uses), frozenset(changes))


def _used_within(table: symtable.SymbolTable) -> Iterator[str]:
    """The names that functions and classes of a statement read from outside of it."""
    for child in table.get_children():
        for symbol in child.get_symbols():
            if symbol.is_global() and symbol.is_referenced():
                yield symbol.get_name()
        yield from _used_within(child)


def _changed_parts(node: ast.stmt) -> set[str]:
    """`config` of `config["lr"] = 1` and `config.lr = 1`."""
    targets: list[ast.expr] = getattr(node, "targets", [])
    if isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets = [node.target]
    found = set()
    for target in targets:
        while isinstance(target, (ast.Attribute, ast.Subscript)):
            target = target.value
            if isinstance(target, ast.Name):
                found.add(target.id)
    return found


def _setters(statements: Sequence[_Statement], name: str) -> set[int]:
    """The last statement that sets a name anew, and those after it that change it."""
    found: set[int] = set()
    for index in reversed(range(len(statements))):
        if name in statements[index].sets:
            found.add(index)
            if name not in statements[index].changes:
                break
    return found


def _missing(function: str, name: str, user: str) -> UserError:
    where = "" if user == function else f", by way of {user}"
    if name in _OF_NOTEBOOKS:
        return UserError(
            f"{function} uses {name}{where}, which only a notebook has",
            "leave it out of what the function uses",
        )
    return UserError(
        f"{function} uses {name}{where}, which no cell of the notebook sets",
        "set it in a cell, give it as an argument, or import it from a module",
    )
