from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.document import document_of, parse_document, read_document
from registrar.errors import ConfigError
from registrar.yaml_values import Value

FILE = Path("file.yaml")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(1 - 10**18, 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


def parse(text: str, file: Path = FILE) -> Value:
    return parse_document(text, file).value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("10:20", "10:20"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("99999999999999999999", "99999999999999999999"),
        ("[a, {b: c}]", ["a", {"b": "c"}]),
        ("1e3", "1e3"),
        ("1.5e+3", 1500.0),
        ("-.5", "-.5"),
        ("1.0e+999", "1.0e+999"),
        ("! 12", "12"),
        ("a: |\n  12\n", {"a": "12\n"}),
        ("x: &a [1]\ny: *a", {"x": [1], "y": [1]}),
        ("&k a: &v 1\nb: *k\n*v : [*v]", {"a": 1, "b": "a", "1": [1]}),
        ("---\n# nothing\n", None),
        ("", None),
    ],
)
def test_values_are_read_by_the_core_schema(text: str, value: Value) -> None:
    assert parse(text) == value


def test_json_may_be_indented_by_tabs() -> None:
    assert parse('{\n\t"a": "x\\ty"\n}', Path("a.json")) == {"a": "x\ty"}


def test_json_may_escape_what_is_beyond_16_bits_by_halves() -> None:
    text = r'["\ud83d\uDE00", "\\ud83d\\ude00", "\u00e9\/"]'
    wanted: Value = ["\N{GRINNING FACE}", r"\ud83d\ude00", "\N{LATIN SMALL LETTER E WITH ACUTE}/"]
    assert parse(text, Path("a.json")) == wanted
    with pytest.raises(ConfigError, match="not well-formed"):
        parse(r'["\ud83d"]', Path("a.json"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\na: 2",
            "file.yaml:2:1: the key 'a' stands twice, first in line 1; keep one of them",
        ),
        (
            "a: {b: c",
            "file.yaml:2:1: not well-formed YAML: did not find expected ',' or '}'; correct it",
        ),
        ("a: !run x", "file.yaml:1:4: the tag !run is not known here; remove the tag"),
        ("a: &a [*a]", "file.yaml:1:4: an alias that contains itself; write the value out"),
        ("[" * 200_000, "file.yaml:1:101: nested more than 100 deep; write it flatter"),
        ("? [a]\n: b", "file.yaml:1:3: a key that is not text; write a plain name"),
        ("a: &a [b]\n*a : c", "file.yaml:2:1: a key that is not text; write a plain name"),
        ("!run a: x", "file.yaml:1:1: the tag !run is not known here; remove the tag"),
        ("a: !run [x]", "file.yaml:1:4: the tag !run is not known here; remove the tag"),
        (
            "a: *b",
            "file.yaml:1:4: no anchor &b stands before this alias; write the value out",
        ),
        (
            "a: &x 1\nb: &x 2",
            "file.yaml:2:4: the anchor &x stands twice, first in line 1; rename one of them",
        ),
        ("a\n---\nb", "file.yaml:2:1: a second document begins; keep one in the file"),
    ],
)
def test_malformed_text_is_an_error_with_a_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_aliases_that_multiply_are_refused() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)
    )
    with pytest.raises(ConfigError, match="more than 2,000,000 values"):
        parse(bomb)


def test_aliases_that_nest_ever_deeper_are_refused() -> None:
    chain = "a0: &a0 [[x], y]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 5000))
    with pytest.raises(ConfigError, match=r":99:12: nested more than 100 deep; write it flatter"):
        parse(chain)
    parse("\n".join(chain.splitlines()[:98]))


KEYS = st.text(max_size=80)  # YAML has a key end within 1,024 characters


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)))
def test_json_means_what_it_means_to_json(value: Value) -> None:
    assert parse(json.dumps(value), Path("a.json")) == value


def test_places_of_keys_and_values() -> None:
    document = parse_document("a:\n  - b: 1\n    c: [2, 3]\n", FILE)
    assert document.place(("a", 0, "c", 1)) == (3, 12)
    assert document.place(("a", 0, "c"), key=True) == (3, 5)
    assert document.place(("a", 5, "z")) == (2, 3)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    for name, message in (
        ("none.yaml", "there is no such file; check the path"),
        ("latin.yaml", "byte 3 is not UTF-8; save the file as UTF-8"),
        (".", "can't be read: Is a directory; check its type and permissions"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_document(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: {message}"


def test_a_value_that_stands_in_no_file_has_no_place() -> None:
    document = document_of(["a"], "answer")
    assert str(document.problem((0,), "wrong", "correct it")) == "answer: wrong; correct it"
