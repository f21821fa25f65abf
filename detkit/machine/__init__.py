"""The processor as this process may use it: cores, who else is on them, and how threads wait."""
