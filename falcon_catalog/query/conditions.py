"""Conditions on rows as people type them, for pages and for ``--where``."""

import re

from pyiceberg.expressions import BooleanExpression
from pyiceberg.expressions.parser import parse
from pyiceberg.expressions.visitors import bind
from pyiceberg.schema import Schema
from pyparsing import ParseException

from falcon_catalog.wording import no_column

_NO_FIELD = re.compile(r"Could not find field with name (.*), case_sensitive=True", re.DOTALL)
_LITERAL = re.compile(r"\b(\w+)Literal\b")


class ConditionError(ValueError):
    """A condition that cannot be read; its text begins with the condition, in quotes."""


def condition(text: str, schema: Schema) -> BooleanExpression:
    """Return the condition that a text such as ``temperature_c > 30 and name is null`` is.

    Raises:
        ConditionError: it cannot be read, or does not suit the columns of the schema.
    """
    try:
        parsed = parse(text)
    except (ParseException, RecursionError):  # whose text is the whole grammar
        raise ConditionError(
            f"{text!r} is not a condition. Conditions are like temperature_c > 30 and station_id in"
            " ('KJFK', 'KLGA'): texts are in quotes, and there are is null, like 'K%', not, and,"
            " or, but no functions"
        ) from None
    except ValueError as error:
        raise ConditionError(f"{text!r}: {error}") from None
    try:
        bind(schema, parsed, case_sensitive=True)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConditionError(f"{text!r}: {_reason(error, schema)}") from None
    return parsed


def _reason(error: Exception, schema: Schema) -> str:
    message = str(error)
    if found := _NO_FIELD.fullmatch(message):
        return no_column(found[1], list(schema.column_names))
    return " ".join(_LITERAL.sub(lambda kind: f"a {kind[1].lower()}", message).split())
