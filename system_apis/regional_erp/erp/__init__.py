"""What runs behind `sandbox.py`: a small ERP that keeps its own books. It imports nothing of Crossdock's product."""
