"""Measurements of serving engines beside the cost model: predicted, compared, and its constants fitted to them."""
