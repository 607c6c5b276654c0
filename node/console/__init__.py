"""The organisation's console: pages for its stewards on the node's own loopback address."""
