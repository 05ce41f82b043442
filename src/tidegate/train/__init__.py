"""Training: from tables of events to a bundle."""
