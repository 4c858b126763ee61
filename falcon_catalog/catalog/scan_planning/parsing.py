"""Parser of filters in either JSON form: old ``term``/``value``, new ``child``/``left``/``right``.

Source: ``Predicate`` of the REST specification and the expressions specification's appendix B.
NOT is moved down to the single predicates, which holds in two- and in three-valued logic.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from falcon_catalog.catalog.scan_planning import literals, values
from falcon_catalog.catalog.scan_planning.bounds import Check
from falcon_catalog.catalog.scan_planning.expressions import (
    Expression,
    Fields,
    Junction,
    Leaf,
    Term,
)
from falcon_catalog.catalog.scan_planning.transforms import result_type
from falcon_catalog.errors import BadRequestError, show
from falcon_catalog.metadata import transforms, types

_WHERE = "filter"
_MAX_DEPTH = 100
_UNARY = {"is-null": False, "not-null": True, "is-nan": False, "not-nan": True}
_COMPARISONS = ("lt", "lt-eq", "gt", "gt-eq", "eq", "not-eq", "starts-with", "not-starts-with")
_SETS = ("in", "not-in")
_MIRRORED = {"lt": "gt", "gt": "lt", "lt-eq": "gt-eq", "gt-eq": "lt-eq", "eq": "eq"}
_ICEBERG_FUNCTIONS = "iceberg_functions"
_WITH_PARAMETER = ("bucket", "truncate")
_FUNCTIONS = {"identity", "year", "month", "day", "hour", *_WITH_PARAMETER}


@dataclass(frozen=True, slots=True)
class _Literal:
    value: Any
    kind: types.Type | None


@dataclass(frozen=True, slots=True)
class _Opaque:
    """A value that only the reader can compute."""


_Operand = Term | _Literal | _Opaque


def _invalid(problem: str) -> BadRequestError:
    return BadRequestError(f"Invalid {_WHERE}: {problem}")


def parse(value: object, fields: Fields) -> Expression:
    """Return the filter of a request.

    Raises:
        BadRequestError: it is no predicate, names no column, or compares what cannot be.
    """
    return _predicate(value, fields, 0, inverted=False)


def _predicate(value: object, fields: Fields, depth: int, *, inverted: bool) -> Expression:
    if depth > _MAX_DEPTH:
        raise _invalid(f"nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, bool):
        return value is not inverted
    if not isinstance(value, Mapping):
        raise _invalid(f"{show(value)} is not a predicate")
    node, kind = value, _type_of(value)
    if kind in ("true", "false"):
        return (kind == "true") is not inverted
    if kind == "literal" and isinstance(node.get("value"), bool):
        return node["value"] is not inverted
    if kind == "not":
        return _predicate(_part(node, kind, "child"), fields, depth + 1, inverted=not inverted)
    if kind in ("and", "or"):
        children = tuple(
            _predicate(child, fields, depth + 1, inverted=inverted) for child in _chain(node, kind)
        )
        return Junction((kind == "and") is not inverted, children)
    return _leaf(node, kind, fields, depth, inverted=inverted)


def _chain(node: Mapping[str, Any], kind: str) -> list[Any]:
    """Return the operands of a chain of one word: clients nest a thousand ANDs to the left."""
    operands, pending = [], [_part(node, kind, "right"), _part(node, kind, "left")]
    while pending:
        part = pending.pop()
        if isinstance(part, Mapping) and _type_of(part) == kind:
            pending += [_part(part, kind, "right"), _part(part, kind, "left")]
        else:
            operands.append(part)
    return operands


def _leaf(
    node: Mapping[str, Any], kind: str, fields: Fields, depth: int, *, inverted: bool
) -> Leaf:
    source = dict(node)
    shown = {"type": "not", "child": source} if inverted else source
    operation = kind.removeprefix("not-")
    opposite = (kind != operation) is not inverted
    if kind in _UNARY:
        # "not-null" is the opposite of "is-null", not of "null".
        operation, opposite = kind.replace("not-", "is-"), _UNARY[kind] is not inverted
        tested = _operand(_part(node, kind, "child", "term"), fields, depth, "child" not in node)
        return _unary(shown, operation, tested, inverted=opposite)
    if kind in _SETS:
        tested = _operand(_part(node, kind, "child", "term"), fields, depth, "child" not in node)
        given = _set(_part(node, kind, "values"))
        return _comparison(shown, Check("in", inverted=opposite), tested, given)
    if kind not in _COMPARISONS:
        raise _invalid(f"unknown type {show(node.get('type'))}")
    left = _operand(_part(node, kind, "left", "term"), fields, depth, "left" not in node)
    right = _operand(_part(node, kind, "right", "value"), fields, depth, old=False)
    if isinstance(left, _Literal) and isinstance(right, Term) and operation in _MIRRORED:
        left, right, operation = right, left, _MIRRORED[operation]
    if not isinstance(right, _Literal):
        return Leaf(shown, None, ())
    return _comparison(shown, Check(operation, inverted=opposite), left, [right])


def _unary(shown: dict[str, Any], operation: str, tested: _Operand, *, inverted: bool) -> Leaf:
    if not isinstance(tested, Term):
        return Leaf(shown, None, ())
    kind = result_type(tested.transform, tested.column.type)
    if operation == "is-nan" and kind not in ("float", "double"):
        raise _invalid(
            f"{tested.column.full_name} is a {types.text(kind)}, only float and double can be NaN"
        )
    term = tested if _is_countable(tested) else None
    return Leaf(shown, term, (Check(operation, inverted=inverted),))


def _comparison(
    shown: dict[str, Any], test: Check, tested: _Operand, given: list[_Literal]
) -> Leaf:
    if not isinstance(tested, Term):
        return Leaf(shown, None, ())
    where = f"{_WHERE} on {tested.column.full_name}"
    kind = result_type(tested.transform, tested.column.type)
    if test.operation == "starts-with" and kind != "string":
        raise BadRequestError(f"Invalid {where}: a {types.text(kind)} has no prefix, a string has")
    parsed = [
        literals.parse(kind, one.value, where)
        if one.kind is None
        else literals.convert(kind, one.kind, one.value, where)
        for one in given
    ]
    if None in parsed or not _is_countable(tested):
        return Leaf(shown, None, ())
    if not parsed:  # in nothing
        return Leaf(shown, tested, (Check("in", (), test.inverted),))
    readings = [parsed]
    if kind == "float":
        both = [literals.float_neighbours(float(one)) for one in parsed if one is not None]
        readings = [[one[0] for one in both], [one[-1] for one in both]]
    checks = {Check(test.operation, tuple(sorted(set(r))), test.inverted) for r in readings}
    return Leaf(shown, tested, tuple(checks))


def _is_countable(term: Term) -> bool:
    """Return whether files have comparable bounds of a column: not inside lists and maps."""
    inside_list = {"element", "key", "value"} & set(term.column.path[1:])
    return not inside_list and types.base_name(term.column.type) in values.COMPARABLE


def _operand(value: object, fields: Fields, depth: int, old: bool) -> _Operand:  # noqa: FBT001
    if depth > _MAX_DEPTH:
        raise _invalid(f"nested deeper than {_MAX_DEPTH} levels")
    if not isinstance(value, Mapping):
        return Term(fields.named(value, _WHERE)) if old else _Literal(value, None)
    kind = _type_of(value)
    if kind == "literal":
        return _literal(value)
    if kind == "reference":
        if "id" in value:
            return Term(fields.numbered(value["id"], _WHERE))
        return Term(fields.named(value.get("name", value.get("term")), _WHERE))
    if kind == "transform":
        inner = _operand(_part(value, kind, "term"), fields, depth + 1, old=True)
        transform = transforms.as_transform(_part(value, kind, "transform"), _WHERE)
        return _applied(transform, inner)
    if kind == "apply":
        return _apply(value, fields, depth)
    raise _invalid(f"unknown value of type {show(value.get('type'))}")


def _apply(node: Mapping[str, Any], fields: Fields, depth: int) -> _Operand:
    name = _function_name(_part(node, "apply", "function"))
    arguments = _part(node, "apply", "arguments")
    if not isinstance(arguments, list):
        raise _invalid("arguments is not a list")
    read = [_argument(one, fields, depth + 1) for one in arguments]
    if name in _WITH_PARAMETER and len(read) == 2 and isinstance(read[0], _Literal):  # noqa: PLR2004
        return _applied(transforms.as_transform(f"{name}[{read[0].value}]", _WHERE), read[1])
    function = name.partition("[")[0] if name else None
    if function in _FUNCTIONS and name and name not in _WITH_PARAMETER and len(read) == 1:
        return _applied(transforms.as_transform(name, _WHERE), read[0])
    if function in _FUNCTIONS:
        raise _invalid(f"wrong arguments of {function}")
    return _Opaque()


def _argument(value: object, fields: Fields, depth: int) -> _Operand:
    kind = _type_of(value) if isinstance(value, Mapping) else "literal"
    if kind in ("literal", "reference", "transform", "apply"):
        return _operand(value, fields, depth, old=False)
    _predicate(value, fields, depth, inverted=False)
    return _Opaque()


def _applied(transform: str, inner: _Operand) -> _Operand:
    if not isinstance(inner, Term) or inner.transform != "identity":
        return _Opaque()
    if transform == "void" or not transforms.takes(transform, inner.column.type):
        raise _invalid(
            f"{transform} cannot be applied to {inner.column.full_name}, "
            f"a {types.text(inner.column.type)}"
        )
    return Term(inner.column, transform)


def _function_name(value: object) -> str | None:
    """Return the name of one of Iceberg's own functions; None for other functions."""
    identifier, catalog = value, None
    if isinstance(value, Mapping):
        identifier, catalog = value.get("identifier"), value.get("catalog")
    if isinstance(identifier, str) and not isinstance(value, Mapping):
        identifier = [identifier]
    named = isinstance(identifier, list) and all(isinstance(part, str) for part in identifier)
    if not identifier or not named or not isinstance(catalog, str | None):
        raise _invalid(f"{show(value)} does not name a function")
    ours = len(identifier) == 1 and catalog in (None, _ICEBERG_FUNCTIONS)  # type: ignore[arg-type]
    return str(identifier[0]).lower() if ours else None  # type: ignore[index]


def _set(value: object) -> list[_Literal]:
    given: object = value
    if isinstance(value, Mapping) and _type_of(value) == "literals":
        given = value.get("values")
    if not isinstance(given, list):
        raise _invalid("values is not a list of literals")
    if isinstance(value, Mapping):
        kind = types.parse(value.get("data-type"), f"{_WHERE}, data-type")
        return [_Literal(one, kind) for one in given]
    return [_literal(one) if isinstance(one, Mapping) else _Literal(one, None) for one in given]


def _literal(node: Mapping[str, Any]) -> _Literal:
    if _type_of(node) != "literal" or "value" not in node:
        raise _invalid("a literal has type literal, and a value")
    given = node.get("data-type")
    kind = None if given is None else types.parse(given, f"{_WHERE}, data-type")
    return _Literal(node["value"], kind)


def _type_of(node: Mapping[str, Any]) -> str:
    kind = node.get("type")
    if not isinstance(kind, str):
        raise _invalid(f"type must be a string, got {show(kind)}")
    return kind.lower().replace("_", "-")


def _part(node: Mapping[str, Any], kind: str, *names: str) -> Any:
    """Return the first field that is present; the later names are deprecated."""
    for name in names:
        if name in node:
            return node[name]
    raise _invalid(f"{kind} needs {names[0]}")
