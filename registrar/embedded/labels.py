"""The language of label selectors: `a=b, c!=d, e in (f, g), h, !i, j>1`.

It must never take what the real API server doesn't, nor complain in other words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from registrar.embedded.formats import label_key, label_value
from registrar.embedded.status import StatusError, bad_request, quoted

Test = Callable[[dict[str, str]], bool]

_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+|$)")
_OPERATORS = ("in", "notin", "=", "==", "!=", ">", "<")
_SYMBOLS = frozenset("=!(),<>") | {"==", "!=", ""}


def parse_labels(text: str) -> Iterator[Test]:
    """Yield the tests that labels must pass. Raise StatusError, 400, for what is no selector."""
    tokens = _Tokens(text)
    while tokens.ahead:
        if tokens.ahead in _SYMBOLS and tokens.ahead != "!":
            raise bad_request(
                f"found '{tokens.ahead}', expected: !, identifier, or 'end of string'"
            )
        yield _requirement(tokens)
        if tokens.ahead not in {"", ","}:
            raise bad_request(f"found '{tokens.ahead}', expected: ',' or 'end of string'")
        ends = tokens.take() == ""
        if not ends and tokens.ahead in _SYMBOLS - {"!"}:
            raise bad_request(f"found '{tokens.ahead}', expected: identifier after ','")


class _Tokens:
    """The tokens of a selector; `ahead` is the next one, empty at the end."""

    def __init__(self, text: str) -> None:
        self._found = iter([m[1] for m in _TOKEN.finditer(text) if m[1]])
        self.ahead = next(self._found, "")

    def take(self) -> str:
        token, self.ahead = self.ahead, next(self._found, "")
        return token

    def take_word(self) -> str:
        token = self.take()
        if token in _SYMBOLS:
            raise _unreadable(f"found '{token}', expected: identifier")
        return token


def _requirement(tokens: _Tokens) -> Test:
    without = tokens.ahead == "!" and bool(tokens.take())
    key = tokens.take_word()
    _check("<nil>", key, label_key(key))
    if without:
        return lambda labels: key not in labels
    if tokens.ahead in {"", ","}:
        return lambda labels: key in labels
    operator = tokens.take()
    if operator not in _OPERATORS:
        raise _unreadable(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
    if operator in {"in", "notin"}:
        values = _values(tokens)
    else:
        values = [tokens.take_word() if tokens.ahead not in {"", ","} else ""]
    return _test(key, operator, values)


def _values(tokens: _Tokens) -> list[str]:
    if (found := tokens.take()) != "(":
        raise _unreadable(f"found '{found}' expected: '('")
    values = [""]
    while (found := tokens.take()) != ")":
        if found == ",":
            values.append("")
        elif found in _SYMBOLS or values[-1]:
            raise _unreadable(f"found '{found}', expected: ',', or identifier")
        else:
            values[-1] = found
    return sorted(values)


def _test(key: str, operator: str, values: list[str]) -> Test:
    for index, value in enumerate(values):
        _check(f"values[{index}][{key}]", value, label_value(value))
    if operator in {"<", ">"}:
        return _comparison(key, operator, values[0])
    if operator in {"!=", "notin"}:
        return lambda labels: labels.get(key) not in values
    return lambda labels: labels.get(key) in values


def _comparison(key: str, operator: str, limit: str) -> Test:
    if not re.fullmatch(r"-?\d+", limit):
        words = "for 'Gt', 'Lt' operators, the value must be an integer"
        raise _unreadable(f'values[0]: Invalid value: "{limit}": {words}')

    def test(labels: dict[str, str]) -> bool:
        value = labels.get(key, "")
        if not re.fullmatch(r"-?\d+", value):
            return False
        return int(value) > int(limit) if operator == ">" else int(value) < int(limit)

    return test


def _check(field: str, value: str, wrong: list[str]) -> None:
    if wrong:
        raise _unreadable(f"{field}: Invalid value: {quoted(value)}: {'; '.join(wrong)}")


def _unreadable(why: str) -> StatusError:
    return bad_request(f"unable to parse requirement: {why}")
