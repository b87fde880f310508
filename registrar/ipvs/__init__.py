"""A node's IPVS table, held against what is published: what `registrar ipvs` looks at.

`kernel.py` reads the one, `cluster.py` the other, `drift.py` says what differs.
"""
