"""One script a claim; each writes its results, with everything needed to repeat them, to `results/`."""
