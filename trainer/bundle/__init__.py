"""What a training gives: result, manifest, report, and the way into the store."""
