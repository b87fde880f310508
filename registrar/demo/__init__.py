"""The main job on one machine with nothing installed: live backends, one of which dies and returns.

It must never need a network, root, or a cluster, nor leave anything behind.
"""
