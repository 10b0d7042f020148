"""Does everything that the log says of an operation hold? Judged from evidence, which is fetched apart from it.

The rooms: `evidence` (what a judgement is made from), `standing` (what the log says of the operation), `checks` and
`records` (the questions, one function each), `report` (the story with its verdict), all pure; `gathering` (fetching the
evidence), by `history` (stream and archive), `nodes` and `chain` (Solana), `content` (IPFS). Used by `mintstream audit`
and by the gateway.
"""
