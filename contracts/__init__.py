"""Every message that crosses a service boundary, and nothing else.

One file per noun (`mint`, `collection`, `dead`), the envelope around them, the streams that hold them and the
registry that ties subject, class and stream together. Imports msgspec and the standard library only. The JSON
Schemas in `schemas/` and `asyncapi.yaml` are generated from these classes by `python -m contracts.generate`.
"""
