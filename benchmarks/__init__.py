"""What the product costs, measured from outside: whole processes, never functions."""
