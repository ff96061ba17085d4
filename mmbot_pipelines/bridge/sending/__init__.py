"""How transactions go out: admitted, signed in the lane of the wallet, stored, broadcast."""
