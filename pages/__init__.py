"""What every page of Cairn shares, at nodes and coordinator: layout, style, languages, charts."""
