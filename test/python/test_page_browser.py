# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the report in a real browser: it is shown, says nothing on the console, and requests nothing."""

import http.server
import subprocess
import threading

import hang
import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.fleet import page, report
from test_report import TIME, host_with, nic

CHROMIUM = ("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
pytestmark = pytest.mark.long


class Site:
    """A server on this machine with one page; it notes each request."""

    def __init__(self):
        self.text, self.requests, site = "", [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.requests.append(self.path)
                self.send_response(200 if self.path == "/report" else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(site.text.encode() if self.path == "/report" else b"")

            def log_message(self, *_arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def open(self, text, folder, *options):
        """Open a page; returns what the browser says on the console, and the page as the browser has it."""
        self.text, self.requests[:] = text, []
        url = f"http://127.0.0.1:{self.server.server_port}/report"
        profile = f"--user-data-dir={folder}"
        done = subprocess.run(
            [*CHROMIUM, profile, "--enable-logging=stderr", *options, "--dump-dom", url],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=hang.SECONDS,
            check=True,
        )
        return [line for line in done.stderr.splitlines() if ":CONSOLE" in line], done.stdout


@pytest.fixture(name="site")
def _site():
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


def a_page(hosts=3):
    names = [f"<b>h{number}</b>" for number in range(hosts)]
    found = {name: host_with(nic(used=2, physical_network="physnet2")) for name in names}
    return page.page(report.document({**found, "bad": {"msg": "<img src=/evil>"}}, TIME))


@pytest.mark.parametrize("options", [(), ("--force-dark-mode",), ("--window-size=360,800",)])
def test_the_page_is_shown_in_silence_and_requests_nothing(site, tmp_path, options):
    console, shown = site.open(a_page(), tmp_path, *options)
    assert "physnet2" in shown and "&lt;b&gt;h2&lt;/b&gt;" in shown
    assert console == [] and site.requests == ["/report"]


@pytest.mark.parametrize(
    "planted", ["<img src=/evil>", "<script>console.error(1)</script>", "<script src=/evil></script>"]
)
def test_a_request_or_a_script_would_be_seen(site, tmp_path, planted):
    """The policy of the page stops it, and says so; without the policy it happens."""
    bad = a_page().replace("<h2>Hosts</h2>", planted)
    console, _shown = site.open(bad, tmp_path / "with")
    assert console != [] and site.requests == ["/report"]
    console, _shown = site.open(bad.replace("Content-Security-Policy", "x-none"), tmp_path / "without")
    assert site.requests != ["/report"] or console != []
