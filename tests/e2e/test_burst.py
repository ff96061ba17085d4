"""Thirty orders of one block, through the whole product."""

from mmbot_pipelines.devnet.orders import burst
from tests.e2e.product import Product


def test_a_burst_is_transferred_and_claimed_in_few_blocks(product: Product) -> None:
    keys = product.place(burst(product.stack.deployment, 30, seed=1))
    orders = product.await_completed(keys)
    transfers = product.receipts(o.transfer_tx for o in orders)
    claims = product.receipts(o.claim_tx for o in orders)
    for receipts in (transfers, claims):
        assert all(r["status"] == 1 for r in receipts)
        blocks = {r["blockNumber"] for r in receipts}
        assert max(blocks) - min(blocks) <= 2, blocks
    product.check_invariants()


def test_an_order_is_found_again_by_the_tags_of_its_runs(product: Product) -> None:
    (key,) = product.place(burst(product.stack.deployment, 1, seed=2))
    product.await_completed([key])
    jobs = [run["jobName"] for run in product.runs(order=key)]
    assert jobs == ["repay_orders", "fill_orders"]
    assert product.runs(**{key.replace(":", "/"): "order"}) == product.runs(order=key)
