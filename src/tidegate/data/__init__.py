"""What training reads: splits, batches, length profiles, and real data sets by name.

Torch-free; import what you need from the modules, each of which is about one of these.
"""
