"""The decisions: pure functions of values, with the time passed in. No I/O and no clock here."""
