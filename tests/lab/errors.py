"""The one exception of the lab: a message for the person who runs it.

It must never need a traceback to be understood.
"""


class LabError(Exception):
    """The lab can't do what was asked; the message says why, and what helps."""
