"""The RPC methods, one module per topic; each exports `METHODS`, name to coroutine."""
