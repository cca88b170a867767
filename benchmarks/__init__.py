"""What Threadfly costs, measured: `python -m benchmarks`. `measuring.py` says what a benchmark is."""
