"""What leaves fits the published contract, or somebody is told."""
