"""What the data check reports: the ledger, and which class names mean one class."""
