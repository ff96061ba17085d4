"""Tests that start a product of their own, when no other one runs."""
