"""Venue bytes -> books: the market feed."""
