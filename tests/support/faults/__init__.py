"""Faults for a server, and the proof that it survives them."""
