"""Training of entity encoders: batches, objectives, trainees, and the loop."""
