"""What is said of settings of health checks that can't be: place, value and remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from registrar.config import read_config
from registrar.errors import ConfigError
from tests.mapping_file import written

WRONG = r"""
# Beside another type.

{type: http, send: a}
  30: `send` beside type http; write `type: tcp` or `type: udp`

{type: grpc, expect: a}
  32: `expect` beside type grpc; write `type: tcp` or `type: udp`

{type: udp, send: a, completeHandshake: true}
  51: `completeHandshake` beside type udp; write `type: tcp`

{path: /up}
  18: `path` beside type tcp; write `type: http` or `type: https`

{type: grpc, method: GET}
  32: `method` beside type grpc; write `type: http` or `type: https`

{type: tcp, host: a}
  29: `host` beside type tcp; write `type: http` or `type: https`

{type: tcp, headers: {A: b}}
  32: `headers` beside type tcp; write `type: http` or `type: https`

{type: tcp, status: 200}
  31: `status` beside type tcp; write `type: http` or `type: https`

{type: tcp, body: a}
  29: `body` beside type tcp; write `type: http` or `type: https`

{type: http, service: a}
  33: `service` beside type http; write `type: grpc`

{type: http, tls: {}}
  29: `tls` beside type http; write `type: https`

{type: tcp, tls: {}}
  28: `tls` beside type tcp; write `type: https` or `type: grpc`

{type: none, port: 81}
  30: `port` beside type none; remove it: nothing is dialled then

{type: none, sourceAddress: 10.0.0.1}
  39: `sourceAddress` beside type none; remove it: nothing is dialled then

{type: none, interface: a}
  35: `interface` beside type none; remove it: nothing is dialled then

{type: none, path: /}
  30: `path` beside type none; write `type: http` or `type: https`

{type: tpc}
  18: services.0.health.type: 'tpc' is not one of the known values; write 'tcp', 'http',
    'https', 'grpc', 'udp', 'source' or 'none'

# What is sent and expected.

{send: a}
  18: `send` without `expect`; write what is to be answered

{type: udp}
  11: type udp without `send`; write what is to be sent

{type: udp, expect: a}
  11: type udp without `send`; write what is to be sent

{send: '', expect: a}
  18: services.0.health.send: '' is empty; write text, or leave the key out

{expect: ''}
  20: services.0.health.expect: '' is empty; write text, or leave the key out

{expect: 220}
  20: services.0.health.expect: 220 is not text; put it in quotes, or write bytes as {hex:
    '0a0b'}

{type: http, body: [a]}
  30: services.0.health.body: a list is not text; put it in quotes, or write bytes as {hex:
    '0a0b'}

{expect: {hex: 0012}}
  26: services.0.health.expect.hex: 12 is not bytes in hexadecimal; write two digits for each,
    in quotes, such as '0a0b'

{expect: {hex: abc}}
  26: services.0.health.expect.hex: 'abc' is not bytes in hexadecimal; write two digits for
    each, in quotes, such as '0a0b'

{send: {hex: xy}, expect: a}
  24: services.0.health.send.hex: 'xy' is not bytes in hexadecimal; write two digits for each,
    in quotes, such as '0a0b'

{expect: {hx: ab}}
  21: unknown key 'hx'; did you mean 'hex'?

{expect: {}}
  20: services.0.health.expect: a mapping is neither bytes nor an expression; write {hex:
    '0a0b'} or {regex: '^ok'}

{expect: {hex: ab, regex: a}}
  20: services.0.health.expect: a mapping is both bytes and an expression; write {hex: '0a0b'}
    or {regex: '^ok'}

{expect: {regex: '('}}
  28: services.0.health.expect.regex: '(' is not an expression in RE2's syntax: missing ): (;
    correct it; there are no look-around and no back-references

{expect: {regex: 'a(?=b)'}}
  28: services.0.health.expect.regex: 'a(?=b)' is not an expression in RE2's syntax: invalid
    perl operator: (?=; correct it; there are no look-around and no back-references

{type: http, body: {regex: '(?<!a)b'}}
  38: services.0.health.body.regex: '(?<!a)b' is not an expression in RE2's syntax: invalid perl
    operator: (?<!; correct it; there are no look-around and no back-references

{expect: {regex: '(a)\1'}}
  28: services.0.health.expect.regex: '(a)\\1' is not an expression in RE2's syntax: invalid
    escape sequence: \1; correct it; there are no look-around and no back-references

{expect: {regex: ''}}
  28: services.0.health.expect.regex: '' is empty; write an expression that some answers don't
    match

{expect: {regex: 220}}
  28: services.0.health.expect.regex: 220 is not text; put it in quotes

{completeHandshake: 1}
  31: services.0.health.completeHandshake: 1 is neither true nor false; write true or false

# HTTP.

{type: http, path: up}
  30: services.0.health.path: 'up' is not a path of a URL; write one that begins with '/', such
    as /healthz

{type: http, path: /a b}
  30: services.0.health.path: '/a b' is not a path of a URL; write one that begins with '/',
    such as /healthz

{type: http, method: PUT}
  32: services.0.health.method: 'PUT' is not one of the known values; write 'GET', 'HEAD',
    'OPTIONS' or 'POST'

{type: http, host: a b}
  30: services.0.health.host: 'a b' is not a Host of HTTP; write a name, such as web.example or
    web.example:8080

{type: http, status: 199}
  32: services.0.health.status.0: 199 is not a status, or a range of them; write one such as 204
    or 200-299

{type: http, status: 600}
  32: services.0.health.status.0: 600 is not a status, or a range of them; write one such as 204
    or 200-299

{type: http, status: [204, 299-200]}
  38: services.0.health.status.1: '299-200' is not a status, or a range of them; write one such
    as 204 or 200-299

{type: http, status: 2xx}
  32: services.0.health.status.0: '2xx' is not a status, or a range of them; write one such as
    204 or 200-299

{type: http, status: true}
  32: services.0.health.status.0: true is not a status, or a range of them; write one such as
    204 or 200-299

{type: http, status: []}
  32: services.0.health.status: a list is too short; it needs 1 or more

{type: http, method: HEAD, body: a}
  44: `body` beside `method: HEAD`; an answer to HEAD has none: write GET

# Headers, whose values may be secrets.

{type: http, headers: {hOST: a}}
  34: key 'hOST' is a header that registrar sets itself; write `host` beside `headers`

{type: http, headers: {Content-Length: '1'}}
  34: key 'Content-Length' is a header that registrar sets itself; remove it

{type: http, headers: {Connection: a}}
  34: key 'Connection' is a header that registrar sets itself; remove it

{type: http, headers: {transfer-encoding: a}}
  34: key 'transfer-encoding' is a header that registrar sets itself; remove it

{type: http, headers: {'A B': c}}
  34: key 'A B' is not the name of a header; write one such as X-Health

{type: http, headers: {A: b, C: d, a: e, c: f}}
  33: header a stands twice; keep one of them
  33: header c stands twice; keep one of them

{type: http, headers: [A]}
  33: services.0.health.headers: a list is not a mapping; write keys and values: {key: value}

{type: http, headers: {A: 7}}
  37: services.0.health.headers.A: the value is neither text nor a file; write it in quotes, or
    {file: PATH}

{type: http, headers: {A: "b\r\nC: d"}}
  37: services.0.health.headers.A: the value is not what a header can hold; write one line of
    printable ASCII, without blanks at its ends

{type: http, headers: {A: ü}}
  37: services.0.health.headers.A: the value is not what a header can hold; write one line of
    printable ASCII, without blanks at its ends

{type: http, headers: {A: ' b'}}
  37: services.0.health.headers.A: the value is not what a header can hold; write one line of
    printable ASCII, without blanks at its ends

{type: http, headers: {A: {file: ''}}}
  44: services.0.health.headers.A.file: '' is empty; write a value

{type: http, headers: {A: {file: b, c: d}}}
  47: unknown key 'c'; known: file

{type: http, headers: {A: {}}}
  34: the key 'file' is missing; add it

# TLS and gRPC.

{type: https, tls: {certFile: a}}
  30: services.0.health.tls: a mapping is incomplete: certFile without keyFile; give both, or
    neither

{type: grpc, tls: {keyFile: a}}
  29: services.0.health.tls: a mapping is incomplete: keyFile without certFile; give both, or
    neither

{type: https, tls: {verify: 'no'}}
  39: services.0.health.tls.verify: 'no' is neither true nor false; write true or false

{type: https, tls: {crl: a}}
  31: unknown key 'crl'; did you mean 'crlFile'?

{type: https, tls: true}
  30: services.0.health.tls: true is not a mapping; write keys and values: {key: value}

{type: grpc, service: ''}
  33: services.0.health.service: '' is empty; write a value

# How it is dialled, and when.

{port: 0}
  18: services.0.health.port: 0 is too small; it must be 1 or more

{sourceAddress: eth1}
  27: services.0.health.sourceAddress: 'eth1' is not an IP address; write one such as 10.20.0.7
    or 2001:db8::7

{interface: 'eth1:0'}
  23: services.0.health.interface: 'eth1:0' is not an interface; write the name of one, such as
    eth1

{interface: a-name-too-long0}
  23: services.0.health.interface: 'a-name-too-long0' is not an interface; write the name of
    one, such as eth1

{timeout: 6s}
  11: a timeout of 6s is longer than the interval of 5s; shorten the timeout or lengthen the
    interval

{fastInterval: 500ms}
  11: a timeout of 1s is longer than the fastInterval of 0.5s; shorten the timeout or lengthen
    the fastInterval

{fastInterval: 6s}
  26: a fastInterval of 6s is longer than the interval of 5s; shorten or remove it

{rise: 0, fall: 1001}
  18: services.0.health.rise: 0 is too small; it must be 1 or more
  27: services.0.health.fall: 1001 is too large; it must be 1000 or less
"""
"""The `health` of a mapping, then what is said: column, message. Deeper lines go on with it."""


def cases() -> list[tuple[str, str]]:
    blocks = [block for block in WRONG.strip().split("\n\n") if not block.startswith("#")]
    found = [block.partition("\n  ") for block in blocks]
    return [(health, re.sub(r"\n( *)", _joined, said)) for health, _, said in found]


def _joined(indentation: re.Match[str]) -> str:
    return "\n" if len(indentation[1]) == 2 else " "


def complaint(folder: Path, health: str, defaults: str = "{}") -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(written(folder, health, defaults))
    return str(caught.value).replace(f"{folder}/registrar.yaml:6:", "")


@pytest.mark.parametrize(("health", "said"), cases())
def test_what_is_wrong_is_told_with_place_value_and_remedy(
    tmp_path: Path, health: str, said: str
) -> None:
    assert complaint(tmp_path, health) == said


@pytest.mark.parametrize(
    ("health", "message"),
    [
        ("{{send: {long}, expect: a}}", "18: services.0.health.send: 'xxx"),
        (
            "{{type: http, headers: {{A: {long}}}}}",
            "37: services.0.health.headers.A: the value is too long; 4096 characters are the most",
        ),
        ("{{expect: {{regex: {long}}}}}", "28: services.0.health.expect.regex: 'xxx"),
    ],
)
def test_what_is_too_long(tmp_path: Path, health: str, message: str) -> None:
    told = complaint(tmp_path, health.format(long=4097 * "x"))
    assert told.startswith(message)
    assert "are the most" in told
    read_config(written(tmp_path, health.format(long=4096 * "x")))


@pytest.mark.parametrize("header", ["7351", "'hunter2 '", '"hunter2\\n"', "ühunter2"])
def test_the_value_of_a_header_is_never_shown(tmp_path: Path, header: str) -> None:
    told = complaint(tmp_path, f"{{type: http, headers: {{Authorization: {header}}}}}")
    assert "the value is" in told
    assert "hunter2" not in told
    assert "7351" not in told


def test_what_is_taken_from_the_defaults_has_to_fit_as_well(tmp_path: Path) -> None:
    # A default alone may be odd: the place that is named is that of the mapping.
    assert complaint(tmp_path, "{interval: 2s}", "{fastInterval: 4s}") == (
        "11: a fastInterval of 4s is longer than the interval of 2s; shorten or remove it"
    )
    assert complaint(tmp_path, "{method: HEAD}", "{type: http, body: a}") == (
        "11: `body` beside `method: HEAD`; an answer to HEAD has none: write GET"
    )


def test_a_source_that_says_nothing_of_health(tmp_path: Path) -> None:
    assert complaint(tmp_path, "{type: source, port: 81}") == (
        "11: type source, and source racks says nothing of health; "
        "write another type, such as tcp\n"
        "32: `port` beside type source; remove it: nothing is dialled then"
    )
