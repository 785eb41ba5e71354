"""What the embedded BigQuery does differently from bqemulator, one concern a module.

bqemulator 1.4.0 is pinned: some of its private functions are wrapped. Each replaced behaviour
names the page of the BigQuery documentation that says what the real service does, and has a
contract test in tests/contract or tests/local.
"""
