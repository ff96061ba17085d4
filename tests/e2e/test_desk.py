"""What a person does at the desk, Dagster's UI, from green over red to green again.

Each test goes on where the one before it ended. MMBOT_PICTURES=FOLDER keeps what they see there.
"""

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Response, expect, sync_playwright

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.orders import OrderKind, order_spec
from mmbot_pipelines.wiring.overview import overview
from tests.e2e.product import Product

PICTURES = os.environ.get("MMBOT_PICTURES")
CHROMIUM = shutil.which("chromium")
PATIENCE = 300_000  # milliseconds


def _launches(response: Response) -> bool:
    asked = response.request.post_data or ""
    return "mutation" in asked and "aunch" in asked


class Desk:
    """A browser on the product's UI."""

    def __init__(self, page: Page, product: Product) -> None:
        self.page = page
        self.ui = product.stack.ui

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.ui}/{path}")
        return self.page

    def press(self, name: str) -> None:
        """Press the last button of a name: a dialog's comes after the page's."""
        button = self.page.get_by_role("button", name=name).last
        expect(button).to_be_enabled()
        button.click()

    def launch(self, name: str) -> None:
        """Press a button that launches a run, and wait until it is asked for."""
        with self.page.expect_response(_launches):
            self.press(name)

    def reload_until_seen(self, text: str) -> None:
        """Wait until a page shows a text that a sensor's next tick brings."""
        end = time.monotonic() + 300
        while True:
            self.page.wait_for_load_state("networkidle")
            if self.page.get_by_text(text).count():
                break
            assert time.monotonic() < end, text
            self.page.reload()
        expect(self.page.get_by_text(text).first).to_be_visible()

    def keep(self, name: str) -> None:
        """Keep a picture of the page, where pictures are asked for."""
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.page.wait_for_load_state("networkidle")
            self.page.screenshot(path=Path(PICTURES) / f"{name}.png")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: `apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def desk(page: Page, product: Product) -> Desk:
    return Desk(page, product)


@pytest.fixture(scope="module")
def parked(product: Product) -> list[str]:
    """Return two orders whose recipient refuses the money."""
    deployment, rng = product.stack.deployment, random.Random(7)
    refused = [order_spec(OrderKind.REJECTING, deployment, rng) for _ in range(2)]
    keys = product.place(refused)
    orders = product.await_all(keys, lambda order: order.is_parked)
    assert all("SimulationReverted" in (order.reason or "") for order in orders)
    return keys


@pytest.fixture(scope="module")
def resolved(product: Product, parked: list[str]) -> list[str]:
    """Let the recipient take the money: an account without code takes any."""
    ask(product.l1, "anvil_setCode", product.stack.deployment.l1.rejecting_recipient, "0x")
    return parked


@pytest.mark.usefixtures("completed")
def test_a_glance_is_green(product: Product, desk: Desk) -> None:
    engine = connect(product.stack.database_url)
    well = lambda: overview(engine, datetime.now(UTC)).is_well  # noqa: E731
    until(well)  # what the tests before this one broke is resolved
    engine.dispose()
    desk.open("assets/overview")
    desk.launch("Materialize")
    desk.open("assets/overview?view=checks&checkDetail=all_is_well")
    desk.reload_until_seen("Passed")
    expect(desk.page.get_by_text("all is well").last).to_be_visible()
    desk.open("assets/overview")
    expect(desk.page.get_by_text("exposure (ETH)")).to_be_visible()
    desk.keep("overview")


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not there():
        assert time.monotonic() < end
        time.sleep(0.5)


def test_a_failing_check_names_the_order(product: Product, desk: Desk, parked: list[str]) -> None:
    desk.open("assets/failed_order?view=checks&checkDetail=no_order_is_parked")
    desk.reload_until_seen("is parked at PROCESSING")
    (order, _) = product.orders(parked)
    page = desk.page
    expect(page.get_by_text("Failed").first).to_be_visible()
    expect(page.get_by_text(f"recipient {order.recipient} refuses").first).to_be_visible()
    desk.keep("check")
    # The run that met them is green all the same, and says why it left them.
    run = product.await_run(parked[0])
    desk.open(f"runs/{run['runId']}")
    cause = page.get_by_text(f"{parked[0]}: SimulationReverted: the call would revert")
    expect(cause.first).to_be_visible()


def test_an_order_is_found_by_its_key_with_its_cause(desk: Desk, parked: list[str]) -> None:
    page = desk.open("assets/failed_order?view=events")
    page.get_by_text(parked[0]).first.click()
    expect(page.get_by_text("SimulationReverted").first).to_be_visible()
    expect(page.get_by_text("next step").first).to_be_visible()
    desk.keep("parked_order")


def test_its_partition_is_materialized_and_the_order_goes_on(
    product: Product, desk: Desk, resolved: list[str]
) -> None:
    key = resolved[0]
    page = desk.open(f"assets/failed_order?view=partitions&partition={quote(key)}")
    expect(page.get_by_text("Missing (2)")).to_be_visible()
    page.get_by_role("button", name="Materialize").first.click()
    desk.launch("Launch 1 run")
    (order,) = product.await_completed([key])
    assert not order.failed
    desk.open(f"assets/failed_order?view=partitions&partition={quote(key)}")
    desk.reload_until_seen("COMPLETED")
    expect(page.get_by_text("Materialized (1)")).to_be_visible()
    expect(page.get_by_text(str(order.settle_tx)).first).to_be_visible()
    desk.keep("recovered_order")


def test_the_launchpad_refuses_what_is_no_order_and_retries_one(
    product: Product, desk: Desk, resolved: list[str]
) -> None:
    key = resolved[1]
    origin, _, number = key.partition(":")
    launch = desk.page.get_by_role("button", name="Launch Run")
    write(desk, "reprocess_order", "ops: {reprocess: {config: {}}}")
    expect(desk.page.get_by_text("Errors", exact=True)).to_be_visible()
    expect(launch).to_be_disabled()
    write(desk, "reprocess_order", f"ops: {{reprocess: {{config: {{{origin}: {number}}}}}}}")
    desk.launch("Launch Run")
    (order,) = product.await_completed([key])
    assert not order.failed
    assert "reprocess_order" in {run["jobName"] for run in product.runs(order=key)}


def write(desk: Desk, job: str, config: str) -> None:
    """Write the configuration of a run into a job's launchpad."""
    page = desk.open(f"locations/mmbot/jobs/{job}/playground")
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(config)


def test_an_order_that_never_failed_shows_its_history(
    product: Product, desk: Desk, completed: list[str]
) -> None:
    (order,) = product.orders(completed[1:])
    write(
        desk,
        "show_order",
        f"ops: {{order_history: {{config: {{{order.origin}: {order.number}}}}}}}",
    )
    desk.launch("Launch Run")
    line = desk.page.get_by_text(f"{order.key}: {Status.COMPLETED}, ")
    expect(line.first).to_be_visible()
    expect(desk.page.get_by_text(str(order.settle_tx)).first).to_be_visible()
    desk.open("assets/order_history?view=events")
    expect(desk.page.get_by_text(str(order.settle_tx)).first).to_be_visible()
    desk.keep("order_history")
    link = desk.page.locator(f"a[href='https://etherscan.io/tx/{order.transfer_tx}']")
    expect(link.first).to_be_visible()


def test_todays_profit_is_a_chart(desk: Desk) -> None:
    today = datetime.now(UTC).date()
    page = desk.open(f"assets/daily_report?view=partitions&partition={today}")
    page.get_by_role("button", name="Materialize").first.click()
    desk.launch("Launch 1 run")
    desk.open(f"assets/daily_report?view=partitions&partition={today}")
    desk.reload_until_seen("orders completed, profit")
    page.get_by_text("Show Markdown").first.click()  # the row "money"
    expect(page.locator("img[src^='data:image/']").first).to_be_visible()
    desk.keep("daily_report")


def test_the_runs_page_filters_by_an_order(
    product: Product, page: Page, completed: list[str]
) -> None:
    tag = f"order={completed[0]}"
    page.goto(f"{product.stack.ui}/runs?q[0]={quote('tag:' + tag)}")
    runs = product.runs(order=completed[0])
    assert len(runs) == 2
    for run in runs:
        expect(page.get_by_text(run["runId"][:8]).first).to_be_visible()
    other = product.runs(order=completed[1])[0]["runId"][:8]
    expect(page.get_by_text(other)).to_have_count(0)
