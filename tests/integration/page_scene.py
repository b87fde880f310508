"""What the status page is shown with: a bit of everything."""

from __future__ import annotations

from registrar.status import HoldStatus
from tests.fixed_program import backend, part, service, source, status, turn

DETAIL = "hosts: tcp://10.20.3.7:2376: no answer within 5 s"
KNOWN = status(
    service(
        "shop/admin",
        backend("10.20.3.21", turn("up", 90_000, "as it was published")),
        sources=("hosts", "files"),
        holds=(HoldStatus(reason="source-unknown", detail=DETAIL),),
        changed=90_000.0,
    ),
    service(
        "shop/mysql",
        backend("10.20.1.31", turn("up", 700_000)),
        backend("10.20.1.32", turn("up", 700_000), published="draining", drained=True),
        sources=("consul",),
    ),
    service(
        "shop/web",
        backend(
            "10.20.1.11",
            turn("up", 9_000, "as it was published"),
            turn("down", 2_400, "nothing listens on that port"),
            turn("up", 1_500, "HTTP 200"),
            reason="HTTP 200",
        ),
        backend(
            "10.20.1.12",
            turn("up", 9_000, "as it was published"),
            turn("down", 65, "no answer within 1 s"),
            published="not-ready",
            reason="no answer within 1 s",
        ),
        backend("2001:db8::13", turn("unknown", 3, ""), published="no", reason=""),
        state="changing",
        sources=("consul",),
        changed=4.0,
    ),
    sources=(
        source("consul", part("mysql"), part("web")),
        source("files", part("backends.yaml", answered=12.0)),
        source(
            "hosts",
            part("tcp://10.20.3.7:2376", answered=340.0, error="no answer within 5 s"),
            part("tcp://10.20.3.8:2376"),
        ),
    ),
)
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>&lt;b&gt;'
