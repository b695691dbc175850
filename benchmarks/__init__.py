"""Benchmarks: scripts that name what they are compared with and print their environment."""
