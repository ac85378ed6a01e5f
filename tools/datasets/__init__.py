"""Published datasets: one module each, with one record of how its files lie, how it is split and what its terms are.

Nothing here imports torch or MONAI, so that the catalogue can read the records.
"""
