"""The formats of names, labels and addresses, and what is said of values that don't have them.

It must never be stricter or laxer than the real API server, nor say it in other words.
"""

from __future__ import annotations

import ipaddress
import re

from registrar.embedded.status import Problem, invalid, required
from registrar.embedded.values import encode

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_KEY = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_ALNUM = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
    " alphanumeric character"
)
_ENDS = "and must start and end with an alphanumeric character"


def _by_regex(words: str, regex: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{words} (e.g. {shown}regex used for validation is '{regex}')"


def dns_label(value: str) -> list[str]:
    """Return what is wrong with a DNS label of RFC 1123."""
    found = ["must be no more than 63 characters"] if len(value) > 63 else []
    if not re.fullmatch(_LABEL, value):
        if re.fullmatch(_SUBDOMAIN, value):
            return [*found, "must not contain dots"]
        words = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or"
        found.append(_by_regex(f"{words} '-', {_ENDS}", _LABEL, "my-name", "123-abc"))
    return found


def dns_label_1035(value: str) -> list[str]:
    """Return what is wrong with a DNS label of RFC 1035."""
    found = ["must be no more than 63 characters"] if len(value) > 63 else []
    if not re.fullmatch(_LABEL_1035, value):
        words = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with"
            " an alphabetic character, and end with an alphanumeric character"
        )
        found.append(_by_regex(words, _LABEL_1035, "my-name", "abc-123"))
    return found


def dns_subdomain(value: str) -> list[str]:
    """Return what is wrong with a DNS subdomain."""
    found = ["must be no more than 253 characters"] if len(value) > 253 else []
    if not re.fullmatch(_SUBDOMAIN, value):
        words = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters,"
            f" '-' or '.', {_ENDS}"
        )
        found.append(_by_regex(words, _SUBDOMAIN, "example.com"))
    return found


def label_key(value: str) -> list[str]:
    """Return what is wrong with a qualified name: the key of a label or an annotation."""
    *prefixes, name = value.split("/")
    sound = _by_regex(_ALNUM, _KEY, "MyName", "my.name", "123-abc")
    if len(prefixes) > 1:
        optional = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a valid label key {sound}{optional}"]
    found = []
    for prefix in prefixes:
        wrong = dns_subdomain(prefix) if prefix else ["must be non-empty"]
        found += [f"prefix part {words}" for words in wrong]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append("name part must be no more than 63 bytes")
    if not re.fullmatch(_KEY, name):
        found.append(f"name part {sound}")
    return found


def label_value(value: str) -> list[str]:
    """Return what is wrong with the value of a label."""
    found = ["must be no more than 63 bytes"] if len(value) > 63 else []
    if not re.fullmatch(f"({_KEY})?", value):
        words = f"a valid label must be an empty string or {_ALNUM.removeprefix('must ')}"
        regex = f"({_KEY})?"
        found.append(_by_regex(words, regex, "MyValue", "my_value", "12345"))
    return found


def port_name(value: str) -> list[str]:
    """Return what is wrong with the name of a container's port."""
    found = ["must be no more than 15 characters"] if len(value) > 15 else []
    if not re.fullmatch("[-a-z0-9]+", value):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        found.append("must contain at least one letter (a-z)")
    if "--" in value:
        found.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return found


def port_number(value: int) -> list[str]:
    """Return what is wrong with the number of a port."""
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def fqdn(field: str, value: str) -> list[Problem]:
    """Return what is wrong with a fully qualified domain name."""
    if not value:
        return [required(field)]
    name = value.removesuffix(".")
    if wrong := dns_subdomain(name):
        return [invalid(field, name, ",".join(wrong))]
    labels = name.split(".")
    if len(labels) < 2:
        words = "should be a domain with at least two segments separated by dots"
        return [invalid(field, name, words)]
    for label in labels:
        if wrong := dns_label(label):
            return [invalid(field, label, ",".join(wrong))]
    return []


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(value: str) -> Address | None:
    """Return the address that text says, even with zeros in front of its numbers."""
    loose = value
    if ":" not in value:
        loose = re.sub(r"(?<![0-9])0+(?=[0-9])", "", value)
    try:
        address = ipaddress.ip_address(loose)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if "%" in value:
            return None
        return address.ipv4_mapped or address
    return address


def address(field: str, value: str, *, canonical: bool = False) -> list[Problem]:
    """Return what is wrong with an IP address."""
    found = parse_address(value)
    if found is None:
        words = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        return [invalid(field, value, words)]
    if ":" in value and found.version == 4:
        return [invalid(field, value, "must not be an IPv4-mapped IPv6 address")]
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return [invalid(field, value, "must not have leading 0s")]
    if canonical and str(found) != value:
        shown = encode(str(found)).decode()
        return [invalid(field, value, f"must be in canonical form ({shown})")]
    return []


def endpoint_address(field: str, value: str) -> list[Problem]:
    """Return what makes an address one that no endpoint may have."""
    found = parse_address(value)
    if found is None:
        return [invalid(field, value, "must be a valid IP address")]
    wrong = []
    if found.is_unspecified:
        wrong.append(f"may not be unspecified ({value})")
    if found.is_loopback:
        wrong.append("may not be in the loopback range (127.0.0.0/8, ::1/128)")
    if found.is_link_local:
        wrong.append("may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    if _is_link_local_multicast(found):
        ranges = "224.0.0.0/24, ff02::/10"
        wrong.append(f"may not be in the link-local multicast range ({ranges})")
    return [invalid(field, value, words) for words in wrong]


def _is_link_local_multicast(found: Address) -> bool:
    if isinstance(found, ipaddress.IPv4Address):
        return found in ipaddress.ip_network("224.0.0.0/24")
    return found.packed[0] == 0xFF and found.packed[1] & 0x0F == 0x02
