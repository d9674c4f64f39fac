"""The bench: what Pointsman costs beside a bare proxy, measured in one run on one machine."""
