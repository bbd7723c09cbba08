"""What keeps secrets and personal data where they belong, and each process to what is its own."""
