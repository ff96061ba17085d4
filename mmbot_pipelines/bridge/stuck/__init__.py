"""Transactions that are not mined in time: what is planned, and how it is replaced."""
