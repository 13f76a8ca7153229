"""Instances: long-lived agent containers of an account on a node (contract 14)."""
