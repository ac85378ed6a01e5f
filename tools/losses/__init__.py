"""Training objectives, one module per family: what each update of the paper's algorithm minimises."""
