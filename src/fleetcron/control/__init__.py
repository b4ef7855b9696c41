"""What people ask: authorise, check, one transaction."""
