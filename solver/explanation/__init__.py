"""Conflicts, repairs and what binds: the solver's own conditions, rows and prices, asked why instead of what."""
