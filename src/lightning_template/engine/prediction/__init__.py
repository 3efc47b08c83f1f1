"""Prediction: what `predict` reads, and the table and the picture it writes."""
