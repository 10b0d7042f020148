"""Webhooks: sends what happens to the addresses that callers named, signed, in order, at least once.

Reads facts of MINT and COLLECTION and the configuration on WEBHOOK; writes `delivery.queued`, `delivery.attempted` and
`delivery.parked`. It has no state of its own: what is to be sent, and how that stands, is on the log. It must not
import other services.
"""
