"""TensorBoard over a folder of runs, and a browser that looks at it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Browser, Error, Page, Request, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def tensorboard(logdir: Path) -> Iterator[str]:
    """Serve a folder of runs with TensorBoard, on a free port of this machine alone; yield the address.

    Raises:
        RuntimeError: If TensorBoard does not start.
    """
    logdir = logdir.resolve()
    command = [sys.executable, "-P", "-m", "tensorboard.main", "--logdir", logdir.name, "--host", "127.0.0.1"]
    command += ["--port", "0", "--load_fast", "false"]  # not fast: one process, which ends with its id
    with subprocess.Popen(
        command, cwd=logdir.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                if address := re.search(r" at (http://127\.0\.0\.1:\d+)/", line):
                    _wait_until_read(address[1], logdir)
                    yield address[1]
                    return
            raise RuntimeError(f"TensorBoard does not start: {''.join(lines)}")
        finally:
            process.terminate()


def _wait_until_read(address: str, logdir: Path) -> None:
    """Wait until every run is listed and what TensorBoard knows of them has stopped to grow."""
    runs = {str(events.parent.relative_to(logdir)) for events in logdir.rglob("events.out.tfevents.*")}
    before = b""
    for _ in range(60):
        known = b"".join(
            urlopen(f"{address}/data/{name}").read() for name in ("plugins_listing", "plugin/scalars/tags", "runs")
        )
        if known == before and all(run.encode() in known for run in runs):
            return
        before = known
        time.sleep(1)
    raise RuntimeError(f"TensorBoard has not read {logdir} after a minute")


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser that the system has, without a window.

    Raises:
        RuntimeError: If there is none, or it does not start.
    """
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise RuntimeError(f"no browser: none of {', '.join(BROWSERS)} is on PATH; on Debian: apt install chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # chromium refuses to be root in one
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=path, args=sandbox)
        except Error as error:
            raise RuntimeError(f"{path} does not start: {error.message.splitlines()[0]}") from error
        with chromium:
            yield chromium


@contextmanager
def tab(chromium: Browser, address: str, fragment: str, height: int = 900, scale: float = 1) -> Iterator[Page]:
    """Open a tab of TensorBoard in a page of its own, which reaches this address alone.

    Args:
        chromium: Browser.
        address: TensorBoard's address.
        fragment: Name of the tab, and what it is to show, as TensorBoard has it behind `#`.
        height: Height of the window in pixels; it is 1280 wide.
        scale: Pixels of the screen for one of the page.

    Raises:
        RuntimeError: If, when the caller is done with it, a script of the page or a request has failed.
    """
    problems: list[str] = []

    def check(request: Request, problem: str | int | None) -> None:
        if request.url.startswith(address) and problem != "net::ERR_ABORTED":  # by the page, which no longer needs it
            problems.append(f"{problem}: {request.url}")

    with chromium.new_page(viewport={"width": 1280, "height": height}, device_scale_factor=scale) as page:
        page.route(lambda url: not url.startswith(address), lambda route: route.abort())
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: check(request, request.failure))
        page.on("response", lambda response: None if response.ok else check(response.request, response.status))
        page.goto(f"{address}/#{fragment}")
        page.wait_for_load_state("networkidle")
        yield page
        if problems:
            raise RuntimeError(f"TensorBoard's tab {fragment}: {'; '.join(problems)}")


def choose_columns(page: Page, names: Collection[str]) -> None:
    """Have the tab HPARAMS show these hyper-parameters and metrics alone."""
    for box in page.locator(".hparam-checkbox, .metric-checkbox").all():
        if (box.inner_text().strip() in names) != (box.get_attribute("checked") is not None):
            box.click()
