"""An API server in memory: what `demo` and `run --embedded` use, and the quick tests.

    server = ApiServer(controllers=True)
    response = await server.handle(Request.to("GET", "/api/v1/namespaces/default/services"))
    async with serve(server) as url: ...                         # on HTTP, for kubectl
    server.faults.add(Refuse(429, retry_after=1), verb="update", resource="endpoints", times=2)

It must never be imported by anything but the commands and tests: registrar sees an API server.
"""

from registrar.embedded.faults import Break, Deaf, Delay, Fault, Faults, Refuse, Rule, Silence
from registrar.embedded.http import serve
from registrar.embedded.request import ConnectionLost, Request, Response, Seen
from registrar.embedded.server import ApiServer
from registrar.embedded.store import Change

__all__ = [
    "ApiServer",
    "Break",
    "Change",
    "ConnectionLost",
    "Deaf",
    "Delay",
    "Fault",
    "Faults",
    "Refuse",
    "Request",
    "Response",
    "Rule",
    "Seen",
    "Silence",
    "serve",
]
