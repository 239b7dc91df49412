"""What a verb does, as one documented call: settings in, files and a summary out."""
