"""Where the node's sums are computed: DuckDB in the node, PostgreSQL or Spark beside it."""
