"""Health checks: the engine that runs them, and a file per protocol."""
