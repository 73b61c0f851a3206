"""The form of both doctors: `examination` runs checks and prints, `findings` are their results (pure)."""
