"""What makes a release of registrar: wheels, the container image, the list of what is in it.

Nothing of it is installed with registrar.
"""
