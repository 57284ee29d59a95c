"""Makes the pictures of docs/reference/console.md: sample data, a server of its own, Chromium.

Run it with `python docs/screenshots.py`; it needs requirements.txt and Debian's `chromium`, and
leaves docs/images/*.png behind, nothing else. The lag samples and the vectors are made up and one
cell is changed after the proof; the rest is what the commands made of the sample files.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
DESK = {"width": 1280, "height": 680}
PHONE = {"width": 390, "height": 844}
LARGEST = 210_000
PASSWORD = "only-for-pictures"  # noqa: S105 of an account on a server that ends with this script

SAMPLES = """
from pathlib import Path
from stillme.demo.samples import make_samples
make_samples(Path({directory!r}), rows=600, seed=3)
"""
LAG = """
from datetime import timedelta
from math import sin
from django.utils import timezone
from stillme.transfer.models import LagSample
now = timezone.now()
for n in range(120):
    for at, file in enumerate(("knowledge", "continuum", "rss", "accuracy")):
        wave = abs(sin(n / (7 + 3 * at))) * (1.2 - at / 5)
        wave += 2.5 if at == 2 and n in (70, 71) else 0
        at_time = now - timedelta(seconds=30 * (120 - n))
        LagSample.objects.create(file=file, changes=int(wave * 40), seconds=wave, at=at_time)
"""
VECTORS = """
from random import Random
from vector import services
chance = Random(1)
middles = [[chance.gauss(0, 1) for _ in range(16)] for _ in range(4)]
notes = services.create_collection("notes", dimension=16)
vectors = [[x + chance.gauss(0, 0.3) for x in middles[at % 4]] for at in range(400)]
texts = [f"Note {at} about subject {at % 4}" for at in range(400)]
services.add(notes, [f"note {at}" for at in range(400)], vectors, texts)
from vector.meaning.maps import make_map
make_map(notes)
"""
# So that the picture of a row shows a difference.
SPOIL = """
from knowledge.models import KnowledgeItem
newest = KnowledgeItem.objects.latest("pk")
KnowledgeItem.objects.filter(pk=newest.pk).update(source="somebody else")
"""


def main() -> int:
    """Prepare, serve, photograph."""
    program = shutil.which("chromium")
    if program is None:
        sys.stderr.write("Install the browser first: apt-get install chromium\n")
        return 2
    IMAGES.mkdir(exist_ok=True)
    # Below /var/tmp: a server started by root makes the folders above its data readable for all.
    with tempfile.TemporaryDirectory(prefix="stillme-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        environment = prepare(Path(name))
        with served(environment) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program)
            photograph(browser, address)
            browser.close()
    large = [p.name for p in IMAGES.glob("*.png") if p.stat().st_size > LARGEST]
    if large:
        sys.stderr.write(f"Larger than {LARGEST:,} bytes: {', '.join(large)}\n")
    return 1 if large else 0


def prepare(directory: Path) -> dict[str, str]:
    """Sample files captured, loaded, followed and verified; the environment that serves them."""
    data = directory / "data"
    environment = {
        **os.environ,
        "EMBEDDED_POSTGRES_DIR": str(directory / "cluster"),
        "DATABASE_URL": "",
        "LEGACY_DATA_DIR": str(data),
        "SECRET_KEY": "only-for-pictures",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }
    data.mkdir()
    manage(environment, "migrate", "--verbosity", "0")
    manage(environment, "shell", "-v", "0", "-c", SAMPLES.format(directory=str(data)))
    manage(environment, "createsuperuser", "--noinput", "--username=ana", "--email=a@example.org")
    manage(environment, "sync_sqlite", "--install")
    manage(environment, "import_sqlite")
    manage(environment, "sync_sqlite", "--once")
    manage(environment, "verify_migration", fine=(0, 1))
    manage(environment, "shell", "-v", "0", "-c", LAG)
    manage(environment, "shell", "-v", "0", "-c", SPOIL)
    manage(environment, "shell", "-v", "0", "-c", VECTORS)
    return environment


def manage(environment: dict[str, str], *arguments: str, fine: tuple[int, ...] = (0,)) -> None:
    """Run a command. Raises SystemExit with its output where it does not end as it should."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode not in fine:
        raise SystemExit(f"{arguments[0]}: {done.stdout}{done.stderr}")


@contextmanager
def served(environment: dict[str, str]) -> Iterator[str]:
    """The admin, on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, str(ROOT / "manage.py"), "runserver", "--noreload", address]
    server = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(f"http://{address}/admin/login/")
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str) -> None:
    """Until the server answers."""
    for _ in range(150):
        try:
            with urlopen(url) as answer:  # noqa: S310 always http
                answer.read()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{url} does not answer.")


def photograph(browser: Browser, address: str) -> None:
    """The main pages: light, dark, and as wide as a phone."""
    page = logged_in(browser, address, DESK, "light")
    page.goto("/admin/transfer/dashboard/?checks=1")
    page.wait_for_function("document.getElementById('lag-said').textContent.includes('Last seen')")
    take(page, "dashboard")
    page.evaluate("document.getElementById('files').scrollIntoView()")
    take(page, "dashboard-files")
    page.evaluate("document.getElementById('lag-said').parentElement.scrollIntoView()")
    take(page, "dashboard-lag")
    glance(page)
    take(page, "glance")
    page.get_by_role("heading", name="Flow between tiers").scroll_into_view_if_needed()
    take(page, "glance-tiers")
    page.goto("/admin/knowledge/knowledgeitem/")
    take(page, "list")
    page.locator("#result_list tbody tr a").first.click()
    page.get_by_role("region", name="Legacy row").scroll_into_view_if_needed()
    take(page, "row")
    page.goto("/admin/search/?q=triet+hoc+may")
    take(page, "search")
    page.goto("/admin/vector/item/")
    page.locator("#result_list tbody tr a").first.click()
    page.get_by_role("link", name="items that are similar to this one").click()
    page.locator("#map").scroll_into_view_if_needed()
    take(page, "meaning")
    started(page)
    take(page, "work")
    page.goto("/admin/transfer/quarantinedrow/?status__exact=open")
    take(page, "quarantine")
    page.locator("#result_list tbody a").first.click()
    page.wait_for_load_state("networkidle")
    take(page, "quarantined-row")
    dark = logged_in(browser, address, DESK, "dark")
    dark.goto("/admin/transfer/dashboard/")
    dark.wait_for_function("document.getElementById('lag-said').textContent.includes('Last seen')")
    take(dark, "dashboard-dark")
    glance(dark)
    dark.get_by_role("heading", name="Outcome over time").scroll_into_view_if_needed()
    take(dark, "glance-dark")
    phone = logged_in(browser, address, PHONE, "light")
    glance(phone)
    take(phone, "glance-phone")
    phone.goto("/admin/transfer/dashboard/")
    phone.wait_for_timeout(500)
    take(phone, "dashboard-phone")


def started(page: Page) -> None:
    """A verification, started from the console and ended."""
    page.goto("/admin/transfer/work/")
    form = page.locator("form", has=page.get_by_role("button", name="Start verify"))
    form.get_by_role("checkbox").check()
    form.get_by_role("button").click()
    ended = "!document.getElementById('said').textContent.includes('running')"
    page.wait_for_function(ended, timeout=120_000)


def glance(page: Page) -> None:
    """The charts, all of them answered."""
    page.goto("/admin/glance/")
    page.wait_for_function("!document.querySelector('[aria-busy]')")


def logged_in(browser: Browser, address: str, size: dict[str, int], scheme: str) -> Page:
    """A page of a person who has logged in."""
    context = browser.new_context(
        base_url=address,
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto("/admin/login/?next=/admin/transfer/dashboard/")
    page.get_by_label("Username").fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/dashboard/")
    return page


def take(page: Page, name: str) -> None:
    """What the window shows."""
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
