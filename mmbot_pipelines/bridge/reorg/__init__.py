"""What L1 and the L2s take back, and where it goes."""
