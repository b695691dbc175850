"""Frozen networks and what a last layer learns from them: base networks, four bits, pairs of tasks."""
