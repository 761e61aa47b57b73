"""What `benchmarks/crash.py` breaks beside Shotput: the same adapt behind other queues, each as its manual shows it."""
