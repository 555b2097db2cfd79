"""A plan from elsewhere against a scenario: does it run, keep the requirements, and do what it says."""
