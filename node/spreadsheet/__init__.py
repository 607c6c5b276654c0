"""A spreadsheet becomes files that the importer reads: its sheets, a mapping, and the result."""
