"""Contestants and tools in environments of their own, frozen in a lock each: `make bench-peers`."""
