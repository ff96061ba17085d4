"""The Dagster UI in a real browser, as an operator uses it when something is red."""

import random
import shutil
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.orders import OrderKind, order_spec
from tests.e2e.product import Product

CHROMIUM = shutil.which("chromium")
PATIENCE = 300_000  # milliseconds


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


def test_a_parked_order_is_reprocessed_from_the_launchpad(product: Product, page: Page) -> None:
    deployment = product.stack.deployment
    key = product.place_one(order_spec(OrderKind.REJECTING, deployment, random.Random(7)))
    (parked,) = product.await_all([key], lambda o: o.is_parked)
    assert "SimulationReverted" in (parked.reason or "")
    green = product.await_run(key)
    page.goto(f"{product.stack.ui}/runs/{green['runId']}")
    cause = page.get_by_text(f"{key}: SimulationReverted: the call would revert: Transfer failed.")
    expect(cause.first).to_be_visible()
    # The recipient fixes its contract: an account without code takes any money.
    ask(product.l1, "anvil_setCode", deployment.l1.rejecting_recipient, "0x")
    page.goto(f"{product.stack.ui}/locations/mmbot/jobs/reprocess_order/playground")
    editor = page.locator(".CodeMirror").first
    expect(editor).to_contain_text("order_key")
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(f"ops: {{reprocess: {{config: {{order_key: '{key}'}}}}}}")
    launch = page.get_by_role("button", name="Launch Run")
    expect(launch).to_be_enabled()
    launch.click()
    (order,) = product.await_completed([key])
    assert not order.failed
    assert "reprocess_order" in {run["jobName"] for run in product.runs(order=key)}
