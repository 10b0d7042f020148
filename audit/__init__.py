"""Does everything that the log says of an operation hold? Pure: judges what others have fetched, and fetches nothing.

The rooms: `evidence` (what a judgement is made from), `checks` (the questions, one function each), `report` (the story
with its verdict). Used by `mintstream audit`. Imports contracts and bubblegum only.
"""
