"""The ways in from outside: HTTP for programs and people, a unix socket for the commands."""
