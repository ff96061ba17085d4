"""What every exchange with an order book has in common: pure, in integer ticks and lots."""
