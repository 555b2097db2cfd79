"""Many scenarios: a grid or a list of changes to one, each solved once and kept.

base and axes → points → scenarios → workers → store. What is in the store is never computed again.
"""
