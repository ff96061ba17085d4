"""What the receipts of our transactions mean for the orders that they serve."""
