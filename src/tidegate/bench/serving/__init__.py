"""Servers, timed: tidegate's beside FastAPI, Redis and LitServe, under one load generator."""
