"""What the site needs beside the pages: the files that pages link to, as pages of their own, and the list of decisions.

Pages are written to be read in the repository too, where `../examples/pairs.py` is a link. On the site that file is a page under `files/`.
"""

# ruff: noqa: INP001 - read by MkDocs, no package

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".yml": "yaml"}
OUTSIDE = re.compile(r"\]\(((?:\.\./)+(?:data|examples|notebooks|CHANGELOG|README)[^)#\s]*)(#[^)]*)?\)")
DECISIONS = re.compile(r"\]\((?:\.\./)?decisions/?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Every file of the repository that a page links to is added, and the list of decisions."""
    wanted: dict[str, Path] = {}
    for page in files.documentation_pages():
        for target, _ in OUTSIDE.findall(page.content_string):
            path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.src_uri), target))
            wanted[path] = ROOT / path
    for path, source in sorted(wanted.items()):
        files.append(File.generated(config, f"files/{path}.md", content=_shown(path, source)))
    files.append(File.generated(config, "decisions/index.md", content=_decisions(Path(config.docs_dir) / "decisions")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that leave docs/ go to the pages made of those files."""
    folder = posixpath.dirname(page.file.src_uri)

    def inside(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, match[1]))
        return f"]({posixpath.relpath(f'files/{path}.md', folder or '.')}{match[2] or ''})"

    if folder.startswith("files"):
        page.meta["search"] = {"exclude": True}
        return markdown
    if folder == "coming-from":
        page.meta["hide"] = ["toc"]  # two strategies beside each other need its room
    if folder == "decisions":
        page.meta["search"] = {"boost": 0.2}  # below the pages that say how it is
    markdown = OUTSIDE.sub(inside, markdown)
    return DECISIONS.sub(f"]({posixpath.relpath('decisions/index.md', folder or '.')})", markdown)


def _shown(path: str, source: Path) -> str:
    """A page that shows a file, a folder's files or a notebook's cells; links of a Markdown file are kept as text."""
    title = f"# {path}\n\n"
    if source.is_dir():
        return title + "".join(f"* `{one.name}`\n" for one in sorted(source.iterdir()) if one.is_file())
    text = source.read_text()
    if source.suffix == ".md":
        return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)
    if source.suffix == ".ipynb":
        return title + "\n\n".join(_cell(one) for one in json.loads(text)["cells"]) + "\n"
    return f"{title}````{LANGUAGES.get(source.suffix, 'text')}\n{text.rstrip()}\n````\n"


def _cell(cell: dict[str, object]) -> str:
    """A notebook's cell as Markdown, headings one level down and links as text."""
    source = cell["source"]
    text = "".join(source) if isinstance(source, list) else str(source)
    if cell["cell_type"] == "code":
        return f"```python\n{text}\n```"
    text = re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)
    return re.sub(r"^#", "##", text, flags=re.MULTILINE)


def _decisions(folder: Path) -> str:
    """The list of decisions, by number."""
    lines = [
        "# Decisions",
        "",
        "Why it is as it is: half a page each, with what was measured.",
        "",
        "| | |",
        "|---|---|",
    ]
    for path in sorted(folder.glob("[0-9]*.md")):
        number, _, title = path.read_text().partition("\n")[0].removeprefix("# ").partition(" ")
        lines.append(f"| {number.rstrip(':')} | [{title[:1].upper()}{title[1:]}]({path.name}) |")
    return "\n".join(lines) + "\n"
