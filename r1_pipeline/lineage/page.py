"""A trace page is one self-contained HTML file: every part can be folded, and nothing is fetched."""

from importlib.resources import files

from r1_pipeline.lineage.trace import Node


def page(root: Node) -> str:
    """Returns the HTML of the tree."""
    from jinja2 import Environment

    source = (files("r1_pipeline.lineage") / "templates" / "trace.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(source).render(root=root)
