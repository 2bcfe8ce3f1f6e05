"""Where jobs live durably: the contract, the client that other parts use, and a folder for each store that keeps the
contract."""
