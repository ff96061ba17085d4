"""Thirty orders of one block, through the whole product."""

from mmbot_pipelines.devnet.orders import burst
from tests.e2e.product import Product


def test_a_burst_is_transferred_and_claimed_in_few_blocks(product: Product) -> None:
    keys = product.place(burst(product.stack.deployment, 30, seed=1))
    orders = product.await_completed(keys)
    # Each origin has runs of its own, which start at different times on a slow machine.
    for origin in sorted({o.origin for o in orders}):
        own = [o for o in orders if o.origin == origin]
        for sent in ([o.transfer_tx for o in own], [o.claim_tx for o in own]):
            receipts = product.receipts(sent)
            assert all(r["status"] == 1 for r in receipts)
            blocks = {r["blockNumber"] for r in receipts}
            assert len(blocks) <= 4, (origin, blocks)  # packed: 15 orders in a few runs
    product.check_invariants()


def test_an_order_is_found_again_by_the_tag_of_its_runs(
    product: Product, completed: list[str]
) -> None:
    for key in completed:
        jobs = [run["jobName"] for run in product.runs(order=key)]
        assert jobs == ["repay_orders", "fill_orders"]
