"""Plans and explanations as files."""
