"""`python -m services.minter`."""

from services.minter.main import main

main()
