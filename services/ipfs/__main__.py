"""`python -m services.ipfs`: the ipfs service as a process."""

from services.ipfs.main import main

main()
