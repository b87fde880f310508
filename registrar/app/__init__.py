"""The composition root: the one place that constructs the parts and connects them."""
