"""What a method costs: memory and time."""
