"""Books -> baskets, edges, signals."""
