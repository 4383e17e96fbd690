"""What runs behind `sandbox.py`: a small warehouse that keeps its own books. It imports nothing of Crossdock's."""
