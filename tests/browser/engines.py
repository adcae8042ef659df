"""Firefox and WebKitGTK by WebDriver, and the built site as they get it: by a server that has each
page write down what goes wrong in it, and that lets nothing leave the site.
"""

import contextlib
import functools
import http.server
import pathlib
import shutil
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "site" / "_build" / "html"
MINI_BROWSER = "webkit2gtk-4.1/MiniBrowser"  # of the package libwebkit2gtk
POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'"
# Before all other scripts: errors, warnings, and what POLICY has stopped.
NOTES = """<script>
window.problems = [];
const note = (text) => problems.push(String(text));
addEventListener("error", (event) => note(event.message || event.target?.src), true);
addEventListener("unhandledrejection", (event) => note(event.reason));
addEventListener("securitypolicyviolation", (event) => note("asked for " + event.blockedURI));
for (const kind of ["error", "warn"]) console[kind] = (...parts) => note(parts.join(" "));
</script>"""
# WebKitGTK's windows are at least 447 pixels wide, those of Firefox 500.
PHONE = """<!doctype html><title>A phone</title><style>body {{ margin: 0 }}</style>
<iframe width="390" height="780" frameborder="0" src="/{}"></iframe>"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        address = self.path.split("?")[0].lstrip("/")
        if address.startswith("phone/"):
            self._send(PHONE.format(address.removeprefix("phone/")))
        elif address.endswith(".html") and (SITE / address).exists():
            text = (SITE / address).read_text("utf-8")
            self._send(text.replace("<head>", f"<head>{NOTES}", 1))
        else:
            super().do_GET()

    def _send(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served():
    """The address of the server."""
    handler = functools.partial(_Handler, directory=str(SITE))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def firefox():
    """Firefox without a window, driven by geckodriver; None where one of them is missing."""
    from selenium import webdriver

    program = shutil.which("firefox") or shutil.which("firefox-esr")
    driver = shutil.which("geckodriver")
    if not (program and driver):
        return None
    options = webdriver.FirefoxOptions()
    options.binary_location = program
    options.add_argument("-headless")
    return webdriver.Firefox(options, webdriver.FirefoxService(executable_path=driver))


def webkit():
    """WebKitGTK's small browser, which needs a screen; None where it is missing."""
    from selenium import webdriver

    program = next(pathlib.Path("/usr/lib").glob(f"*/{MINI_BROWSER}"), None)
    driver = shutil.which("WebKitWebDriver")
    if not (program and driver):
        return None
    options = webdriver.WebKitGTKOptions()
    options.binary_location = str(program)
    options.add_argument("--automation")
    return webdriver.WebKitGTK(options, service=webdriver.WebKitGTKService(driver))


ENGINES = {"firefox": firefox, "webkit": webkit}
