"""Conflicts, repairs and what binds: the same conditions, rows and prices as the solver's, asked why instead of what."""
