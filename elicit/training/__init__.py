"""Fitting by gradients and by search: trainers that several methods share. Knows tasks only through the ledger."""
