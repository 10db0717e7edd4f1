"""What a method costs: so far, time."""
