"""The configuration of an nginx that answers many addresses, in one process and in a folder."""

from __future__ import annotations

from pathlib import Path

CONFIGURATION = """
daemon off;
master_process off;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    {server}
    return 200;
  }}
}}
"""


def configuration(folder: Path, files: int, *server: str) -> str:
    """Return it; `files` is how many may be open, `server` what the server is told."""
    return CONFIGURATION.format(folder=folder, files=files, server="\n    ".join(server))


def listen(port: int, more: str = "") -> str:
    """Return the line that has it listen on a port."""
    return f"listen 0.0.0.0:{port} {more} backlog=8192;"
