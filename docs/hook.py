"""What the site needs besides the documents: the README as a page, and links that leave docs/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
ABOUT = "about.md"  # README.md would be taken for the first page
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the README, its links turned to where the pages are."""
    text = (ROOT / "README.md").read_text("utf-8").replace("](docs/", "](")
    text = text.replace("](LICENSE)", "](../LICENSE)")
    files.append(File.generated(config, ABOUT, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Of what is not in the site the name alone is left."""
    if page.file.src_uri.count("/"):
        return markdown
    return _OUTSIDE.sub(r"\1", markdown.replace("](../README.md)", f"]({ABOUT})"))
