"""Kubernetes: the client, watched objects, the Endpoints codec and the publisher."""
