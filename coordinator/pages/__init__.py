"""The coordinator's pages: a researcher's workspace, an auditor's overview, public insights.

A page reads and asks through `coordinator.client`, over the very operations that programs use,
with the reader's own session: what a page shows, the client returns.
"""
