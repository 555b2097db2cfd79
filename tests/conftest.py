"""Settings of the whole suite: property tests draw the same examples in every run, and none has a deadline."""

from hypothesis import HealthCheck, settings

settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("same")
