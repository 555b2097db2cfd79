"""Deployments of pools: how many engines of which kind in which role, proved by the count model (docs/pools.md)."""
