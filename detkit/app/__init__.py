"""The page in the browser: its server, what the server lets through, and what it shows."""
