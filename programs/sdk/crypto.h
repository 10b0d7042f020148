/* Keccak-256 and program-derived addresses. Every program that hashes or signs with a PDA uses this. */
#ifndef PROGRAMS_SDK_CRYPTO_H
#define PROGRAMS_SDK_CRYPTO_H

#include "sbf.h"

#define HASH_BYTES 32

/* keccak256 of the concatenated parts. */
static inline void keccak(const Slice *parts, u64 part_count, u8 *hash) {
    if (sol_keccak256(parts, part_count, hash) != OK) PANIC();
}

/* keccak256(left ‖ right): the parent of two tree nodes. `hash` may be one of the inputs. */
static inline void keccak_pair(const u8 *left, const u8 *right, u8 *hash) {
    Slice parts[2] = {{left, HASH_BYTES}, {right, HASH_BYTES}};
    keccak(parts, 2, hash);
}

/* The canonical PDA of `seeds` (without a bump) and its bump. */
static inline Result find_program_address(const Slice *seeds, u64 seed_count, const u8 *program_id, u8 *address,
                                          u8 *bump) {
    return sol_try_find_program_address(seeds, seed_count, program_id, address, bump) == 0 ? OK : ERR_INVALID_SEEDS;
}

/* Is `key` the canonical PDA of `seeds`? `bump` receives the bump. */
static inline bool is_program_address(const u8 *key, const Slice *seeds, u64 seed_count, const u8 *program_id, u8 *bump) {
    u8 address[KEY_BYTES];
    return find_program_address(seeds, seed_count, program_id, address, bump) == OK && key_equal(address, key);
}

#endif
