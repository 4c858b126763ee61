"""The part of CEL that conditions of credential access boundaries may use, evaluated.

Source: Google's documentation of credential access boundaries: ``resource.name`` and
``api.getAttribute``, compared with ``startsWith``, joined by ``||`` and ``&&``. Whatever else
stands in a condition is an error here, as Google's token service refuses it.
"""

import re
from dataclasses import dataclass

ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "`": "`",
    "?": "?",
}
MAX_LENGTH = 2048
_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\\n\r]|\\.)*'|\"(?:[^\"\\\n\r]|\\.)*\")"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_.]*)|(?P<sign>\|\||&&|[(),.]))"
)
LIST_PREFIX = "storage.googleapis.com/objectListPrefix"


class InvalidConditionError(ValueError):
    """Google would refuse this condition."""


@dataclass(frozen=True)
class Term:
    """``subject.startsWith(text)``."""

    subject: str
    """``resource.name``, or the name of an attribute."""
    text: str

    def holds(self, name: str, attributes: dict[str, str]) -> bool:
        subject = name if self.subject == "resource.name" else attributes.get(self.subject, "")
        return subject.startswith(self.text)


Condition = list[list[Term]]
"""Terms joined by &&, joined by ||."""


def holds(condition: Condition, name: str, attributes: dict[str, str]) -> bool:
    return any(all(term.holds(name, attributes) for term in terms) for terms in condition)


def parse(expression: str) -> Condition:
    """Return the terms of a condition.

    Raises:
        InvalidConditionError: it has another form.
    """
    if len(expression) > MAX_LENGTH:
        raise InvalidConditionError(f"more than {MAX_LENGTH} characters")
    return _Parser(expression).condition()


class _Parser:
    def __init__(self, expression: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(expression):
            match = _TOKEN.match(expression, at)
            if match is None:
                raise InvalidConditionError(f"at {expression[at : at + 40]!r}")
            assert match.lastgroup is not None
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def condition(self) -> Condition:
        alternatives = [self.conjunction()]
        while self.tokens:
            self.take("sign", "||")
            alternatives.append(self.conjunction())
        return alternatives

    def conjunction(self) -> list[Term]:
        terms = [self.term()]
        while self.tokens and self.tokens[0] == ("sign", "&&"):
            self.take("sign", "&&")
            terms.append(self.term())
        return terms

    def term(self) -> Term:
        name = self.take("name")
        if name == "resource.name.startsWith":
            subject = "resource.name"
        elif name == "api.getAttribute":
            self.take("sign", "(")
            subject = self.string()
            self.take("sign", ",")
            if self.string() != "":
                raise InvalidConditionError("a default that is not empty")
            self.take("sign", ")")
            self.take("sign", ".")
            if self.take("name") != "startsWith":
                raise InvalidConditionError("another function than startsWith")
        else:
            raise InvalidConditionError(f"the function {name}")
        self.take("sign", "(")
        text = self.string()
        self.take("sign", ")")
        return Term(subject, text)

    def take(self, kind: str, text: str | None = None) -> str:
        found = self.tokens.pop(0) if self.tokens else ("end", "")
        if found[0] != kind or text not in (None, found[1]):
            raise InvalidConditionError(f"{found[1]!r} instead of {text or kind}")
        return found[1]

    def string(self) -> str:
        return re.sub(
            r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|.)",
            self._unescape,
            self.take("string")[1:-1],
        )

    @staticmethod
    def _unescape(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) > 1:
            return chr(int(code[1:], 16))
        if code not in ESCAPES:
            raise InvalidConditionError(f"the escape \\{code}")
        return ESCAPES[code]
