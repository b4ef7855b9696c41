"""Engine to worker and back: commands out, events in."""
