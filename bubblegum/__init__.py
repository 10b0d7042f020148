"""Bubblegum, the compressed-NFT program, as pure bytes: instructions out, leaves, trees and transactions in.

Used by the minter (instructions, decoding what landed), the indexer and the local cluster's DAS (decoding), and the
command line (collections, trees, proofs). No I/O and no async: nothing here sends, fetches or signs.
"""
