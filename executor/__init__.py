"""Signals -> orders -> fills -> positions."""
