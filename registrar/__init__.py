"""registrar keeps selectorless Kubernetes Services pointed at backends outside the cluster."""

from importlib.metadata import version

__version__ = version("registrar")
