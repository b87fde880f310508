"""What an API server does, as tests that run against the embedded one and the real one alike."""
