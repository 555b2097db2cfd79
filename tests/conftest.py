"""Settings of the whole suite.

Property tests draw the same examples in every run, and none has a deadline. Measured tables are looked for only where a
test says so: what is installed must not change what other tests expect.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("same")

os.environ.setdefault("SHARDWISE_SILICON", "none")
