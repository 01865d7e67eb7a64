"""What a trained model makes of clips."""
