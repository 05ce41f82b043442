"""Faults for a server, and the proof that it came through: clients, a disk that fails, a checker."""
