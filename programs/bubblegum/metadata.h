/* MetadataArgs and MetadataArgsV2: what a mint says about the NFT, its rules and its hashes.
 *
 * Used by the mint instructions. Nothing is copied: a parsed Metadata points into the instruction data, because a leaf's
 * data hash covers exactly those serialized bytes. */
#ifndef PROGRAMS_BUBBLEGUM_METADATA_H
#define PROGRAMS_BUBBLEGUM_METADATA_H

#include "borsh.h"

#define CREATOR_BYTES 34 /* address 32, verified 1, share 1 */

typedef struct {
    Slice serialized; /* the arguments as they came */
    Slice name, symbol, uri;
    const u8 *creators; /* creator_count times CREATOR_BYTES */
    const u8 *collection; /* a key, or NULL */
    /* V1 with a collection: where its `verified` byte stands in `serialized`. */
    u64 verified_offset;
    u32 creator_count;
    u16 seller_fee_basis_points;
    bool collection_is_verified; /* V1 only */
    bool is_non_fungible;        /* token_standard is Some(NonFungible) */
} Metadata;

/* Read the arguments; `reader->failed` tells whether they were Borsh of that type with UTF-8 strings. */
void read_metadata_v1(Reader *reader, Metadata *metadata);
void read_metadata_v2(Reader *reader, Metadata *metadata);

/* V2 in a collection: the fee may be 65535, "inherit it from the collection's Royalties plugin". */
bool metadata_inherits_fee(const Metadata *metadata);

/* Lengths, basis points, creators and token standard. `may_inherit`: MetadataArgsV2 with a collection. */
Result metadata_check(const Metadata *metadata, bool may_inherit);

/* keccak(keccak(serialized), fee). `verify_collection` hashes as if the collection's verified flag were set. */
void metadata_data_hash(const Metadata *metadata, bool verify_collection, u8 *hash);
/* keccak of all creators. */
void metadata_creator_hash(const Metadata *metadata, u8 *hash);

#endif
