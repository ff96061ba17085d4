"""MM Bot: a market maker that supplies liquidity to escrow orders across chains."""
