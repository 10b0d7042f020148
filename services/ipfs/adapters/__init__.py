"""Pinning services behind `services.ipfs.ports`: Kubo's RPC API (the embedded endpoint speaks it too) and Pinata."""
