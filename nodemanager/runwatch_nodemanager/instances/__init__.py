"""Instances of this node: what the server wants and what the engine has, brought together."""
