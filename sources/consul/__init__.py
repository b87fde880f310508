"""The Consul source: what is asked (source), of whom (agents), and what it means (records)."""
