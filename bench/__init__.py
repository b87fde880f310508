"""Benchmarks: each a module to be run, each ends with a line of JSON."""
