"""Pages of the site that are kept elsewhere: READMEs of methods, the organisms' card, README and CONTRIBUTING.

A hook of mkdocs (mkdocs.yml); knows nothing of what the pages say. Their links are relative to their own folders, so
links to pages and pictures are rewritten to the places that those have on the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "organisms_card.md": "elicit/organisms/checkpoints/README.md",
    **{f"methods/{page.parent.name}.md": f"methods/{page.parent.name}/README.md"
       for page in sorted(ROOT.glob("methods/*/README.md"))},
}  # fmt: skip
ON_SITE = {source: page for page, source in ELSEWHERE.items()}
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)\s#]+)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages of ELSEWHERE."""
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links of a page, from the place of its source in the repository to its place on the site."""
    uri = page.file.src_uri
    source = ELSEWHERE.get(uri, f"docs/{uri}")

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        on_site = ON_SITE.get(target, target.removeprefix("docs/"))
        return "](" + posixpath.relpath(on_site, posixpath.dirname(uri) or ".")

    return LINK.sub(moved, markdown)
