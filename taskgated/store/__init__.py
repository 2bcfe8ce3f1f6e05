"""Where jobs live durably: the contract, and one file for each engine that keeps it."""
