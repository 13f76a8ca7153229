"""Logins of agents on this node: their programs in a terminal, what they show, what they leave."""
