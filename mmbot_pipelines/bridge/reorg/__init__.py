"""What reorgs of L1 and of the L2s change, and where the orders go."""
