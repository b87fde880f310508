"""The built-in sources, found by entry point like anybody else's. One file each."""
