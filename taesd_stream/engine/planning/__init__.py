"""Costs, strategies, and the plan that is chosen among them."""
