"""Get our money back: claim what was paid, alone or together, until the escrow has paid."""
