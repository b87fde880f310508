"""The users of a lab: a token and a kubeconfig each.

It must never make a client trust anything but the lab's own API server.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

ADMIN, PROXY = "admin", "system:kube-proxy"
# The API server reads its tokens at its start only, so there are as many as tests could want.
WITHOUT_RIGHTS = [*(f"registrar-{number}" for number in range(1000)), "nobody"]


def write(state: Path, server: str, authority: Path) -> None:
    """Write the API server's token file, and every user's kubeconfig."""
    tokens = {user: secrets.token_hex(16) for user in (ADMIN, PROXY, *WITHOUT_RIGHTS)}
    rows = [f"{token},{user},{user}" for user, token in tokens.items()]
    rows[0] += ",system:masters"
    (state / "tokens.csv").write_text("\n".join(rows) + "\n")
    for user, token in tokens.items():
        path = kubeconfig(state, user)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(_config(user, token, server, authority), indent=2))


def kubeconfig(state: Path, user: str) -> Path:
    """Return where a user's kubeconfig is."""
    return state / "kubeconfigs" / user.replace(":", "-")


def _config(user: str, token: str, server: str, authority: Path) -> dict[str, object]:
    cluster = {"server": server, "certificate-authority": str(authority)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        "current-context": "lab",
    }
