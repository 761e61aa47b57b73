"""The sections of docs/results.md, each made from one file of `results/`."""
