"""The coordinator's records: studies, people, runs, releases and the mirror of every ledger."""
