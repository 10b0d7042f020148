"""Key custody: keys, where they are kept, and what may be signed with them. Used through `services.minter.signer`."""
