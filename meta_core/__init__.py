"""Few-shot learning: every family of meta-learning behind one contract. Knows tensors, files and plain JSON."""
