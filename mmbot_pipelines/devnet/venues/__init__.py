"""Simulated exchanges: one matching engine, and a front for each venue's own protocol."""
