"""What shardwise does with deployment conditions."""
