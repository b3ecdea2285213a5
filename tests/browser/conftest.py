"""The site that `nox -s docs` built, served, and Chromium to read it."""

import functools
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright

SITE = Path(__file__).parents[2] / "docs/_build/html"
PAGES = sorted(page.relative_to(SITE).as_posix() for page in SITE.rglob("*.html"))
COLD = 120_000  # milliseconds: Python is fetched and started, on a machine that may be busy
CHROMIUM = "chromium-headless-shell", "chromium", "chromium-browser"
expect.set_options(timeout=30_000)  # what never comes is not waited for long
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--no-first-run"]


def pytest_configure() -> None:
    if not PAGES:
        pytest.exit("There is no site to test: run nox -s docs first.", 1)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # the shell alone opens a page in a quarter of the time: the whole browser makes windows for it
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        pytest.exit(f"Chromium is missing; on Debian, apt-get install {CHROMIUM[0]} brings it.", 1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page; see that no request leaves the site or finds nothing."""
    requests: list[str] = []
    missing: list[str] = []
    errors: list[str] = []

    def note(response: Response) -> None:
        if response.status >= 400:
            missing.append(response.url)

    def visit(path: str, **options: object) -> Page:
        page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
        page.set_default_timeout(30_000)
        page.context.on("request", lambda request: requests.append(request.url))
        page.context.on("response", note)
        page.on("pageerror", lambda error: errors.append(f"{path}: {error}"))
        page.goto(path if ":" in path else address + path)
        return page

    yield visit
    own = (address, "data:", "blob:", "file:")
    assert requests
    assert not [url for url in requests if not url.startswith(own)], "requests to other sites"
    assert not missing, "files that are not there"
    assert not errors, "errors in scripts"
