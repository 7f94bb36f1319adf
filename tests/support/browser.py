"""A real browser: headless Chromium, driven by its own driver."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

INSTALL = "sudo apt-get install chromium chromium-driver (Ubuntu: sudo snap install chromium)"
BROWSERS = ("chromium", "google-chrome")
DRIVERS = ("chromedriver", "chromium.chromedriver")
_QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def chromium(profile: Path, *, dark: bool = False, width: int = 1280, height: int = 1000) -> Iterator[Chrome]:
    """Chromium with an empty profile in `profile`. Fails, naming the package to install, if it isn't there."""
    browser, driver = (next(filter(None, map(shutil.which, names)), None) for names in (BROWSERS, DRIVERS))
    if not browser or not driver:
        raise RuntimeError(f"Chromium or its driver is missing: {INSTALL}")
    options = ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-sync", *_QUIET):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument(f"--window-size={width},{height}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    page = Chrome(options=options, service=Service(driver))
    try:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield page
    finally:
        page.quit()
