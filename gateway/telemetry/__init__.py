"""What the house says about itself: traces, counters and the access log. It knows no business word."""
