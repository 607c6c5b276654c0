"""Charts of results and previews (Altair). Nothing imports altair before a chart is drawn."""
