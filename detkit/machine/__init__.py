"""CPU cores, memory and signals of the machine, as far as this process may use them."""
