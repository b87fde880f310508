"""The fault matrix in virtual time: registrar as it is, between ends that fail by script."""
