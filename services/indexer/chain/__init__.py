"""What the indexer makes of the chain itself: trees followed, assets kept, counts compared."""
