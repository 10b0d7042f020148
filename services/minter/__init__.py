"""The minter: signs transactions and lands each exactly once.

Reads `mint.pinned`, `mint.confirmed` and `collection.pinned`; writes `mint.signed`, `mint.confirmed`,
`mint.finalized`, `mint.failed`, `collection.signed`, `collection.created` and `collection.failed`. No database.
"""
