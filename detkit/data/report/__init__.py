"""The report of the data check: issues, the ledger, and class names that mean the same class."""
