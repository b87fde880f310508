"""What Prometheus may ask: what there is to measure, what is counted, and how it is written down.

Nothing here decides anything, and nothing waits for it.
"""
