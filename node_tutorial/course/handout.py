"""A lesson as one HTML file that asks nothing of a network: its formulas are MathML."""

import re
from re import Match

from jinja2 import pass_context
from jinja2.runtime import Context
from math_core import LatexToMathML
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

__all__ = ["handout"]

# nbconvert's page without what it loads: require.js, MathJax, Mermaid. The fonts for formulas are
# those that systems bring: without one of them roots and brackets do not grow. A picture gets its
# sentence.
TEMPLATE = """
{%- extends "lab/index.html.j2" -%}
{%- block html_head_js_requirejs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block data_png -%}
<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:image/png;base64,{{ output.data["image/png"] }}"
  alt="{{ output.data["text/plain"] | escape }}">
</div>
{%- endblock -%}
{%- block html_head_css -%}
<style>
math {
  font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "DejaVu Math TeX Gyre", math;
  font-size: 1.1em;
}
.formula {
  display: block;
  overflow: auto hidden;
}
.jp-InputArea-editor {
  overflow-x: auto;
}
</style>
{%- endblock -%}
"""
BADGE = re.compile(r"(?m)^\[!\[Binder\].*\n+")  # a picture of another site
TEXT_OR_PRIMES = re.compile(r"(\\text\w*\{[^{}]*\})|('+)")
CONVERTER = LatexToMathML(continue_on_error=True, fancy_error=False)


def handout(notebook: NotebookNode, name: str) -> str:
    """The page of an executed lesson."""
    resources = {"metadata": {"name": name}}
    page, _ = _Page(raw_template=TEMPLATE).from_notebook_node(notebook, resources=resources)
    return page


def mathml(latex: str, display: bool) -> str:
    """A formula as MathML; what cannot be converted is shown as it is written, with the reason.

    display: Does it stand on a line of its own?
    """
    upright = TEXT_OR_PRIMES.sub(_upright, latex)
    formula = CONVERTER.convert_with_local_state(upright, displaystyle=display)
    return f'<span class="formula">{formula}</span>' if display else formula


def _upright(found: Match[str]) -> str:
    """Primes at the size of their letter: Chromium draws those of a superscript like dots."""
    text, primes = found.groups()
    return text or rf"\text{{{'′' * len(primes)}}}"


class _Page(HTMLExporter):
    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        """What nbconvert's template makes of the Markdown of a cell."""
        return MarkdownWithMath(renderer=_Renderer(escape=False)).render(BADGE.sub("", source))


class _Renderer(IPythonRenderer):
    def inline_math(self, body: str) -> str:
        return mathml(body, display=False)

    def block_math(self, body: str) -> str:
        return mathml(body, display=True)

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", display=True)
