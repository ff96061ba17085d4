"""Exchange trading: sessions of strategies on accounts of exchanges."""
