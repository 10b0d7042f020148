"""The minter's adapters to the world."""
