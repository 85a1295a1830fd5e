"""How the replicas of the reasoning service share the requests that others send over the bus."""

GROUP = "reasoning"
"""One replica of the group answers each request."""
