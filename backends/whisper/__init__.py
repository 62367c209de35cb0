"""What hearing with Whisper's models takes: sound in clips, the model's folder, the model itself."""
