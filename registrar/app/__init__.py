"""The composition root: the one place that constructs the parts and connects them."""

from registrar.app.app import App
from registrar.app.construction import Ends, Mode
from registrar.app.demo import demo, demo_site, embedded_cluster
from registrar.app.offline import rendered, warnings
from registrar.app.running import ClusterOptions, running, running_with

__all__ = [
    "App",
    "ClusterOptions",
    "Ends",
    "Mode",
    "demo",
    "demo_site",
    "embedded_cluster",
    "rendered",
    "running",
    "running_with",
    "warnings",
]
