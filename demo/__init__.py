"""A sandbox in which nothing can break: `make demo`."""
