"""Faults at random on real processes, while the simulation's checker looks at all that is stored.

It must never switch anything within registrar: what is broken is broken from outside.
"""
