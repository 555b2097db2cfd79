"""The choice: which priced row is best, and the proof that none is better."""
