"""What an auditor takes away and checks alone: the bundle, its verifier and the report."""
