"""registrar installed as a user installs it: with kustomize, or with Helm."""
