/* See metadata.h. Field order: the IDL types MetadataArgs and MetadataArgsV2. Limits: the IDL's error list and the limits
 * of token metadata (32, 10 and 200 bytes, 5 creators) that the documentation refers to. */
#include "metadata.h"

#include "anchor.h"
#include "crypto.h"
#include "errors.h"

#define MAX_NAME_BYTES 32
#define MAX_SYMBOL_BYTES 10
#define MAX_URI_BYTES 200
#define MAX_CREATORS 5
#define MAX_BASIS_POINTS 10000
#define BASIS_POINTS_INHERITED 0xffff

enum { CREATOR_VERIFIED = 32, CREATOR_SHARE = 33 };
enum { TOKEN_STANDARD_NON_FUNGIBLE = 0, TOKEN_STANDARDS = 4 };
enum { USE_METHODS = 3, TOKEN_PROGRAM_VERSIONS = 2 };

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* How many bytes a UTF-8 character has by its first byte; 0 when no character starts so. */
static u64 utf8_width(u8 first) {
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return 2;
    if (first >= 0xe0 && first <= 0xef) return 3;
    if (first >= 0xf0 && first <= 0xf4) return 4;
    return 0;
}

/* Refuses overlong forms, surrogates and code points past U+10FFFF by the range of the second byte. */
static bool utf8_second_fits(u8 first, u8 second) {
    u8 low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    u8 high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high;
}

static bool is_utf8(Slice text) {
    u64 i = 0;
    while (i < text.length) {
        u64 width = utf8_width(text.at[i]);
        if (width == 0 || width > text.length - i) return false;
        if (width > 1 && !utf8_second_fits(text.at[i], text.at[i + 1])) return false;
        for (u64 j = 2; j < width; j++) {
            if ((text.at[i + j] & 0xc0) != 0x80) return false;
        }
        i += width;
    }
    return true;
}

static void read_string(Reader *reader, Slice *text) {
    *text = read_slice(reader);
    if (!is_utf8(*text)) reader->failed = true;
}

static void read_common_fields(Reader *reader, Metadata *metadata) {
    read_string(reader, &metadata->name);
    read_string(reader, &metadata->symbol);
    read_string(reader, &metadata->uri);
    metadata->seller_fee_basis_points = read_u16(reader);
    read_bool(reader); /* primary_sale_happened: both may be minted */
    read_bool(reader); /* is_mutable */
}

static void read_token_standard(Reader *reader, Metadata *metadata) {
    metadata->is_non_fungible = read_bool(reader) && read_variant(reader, TOKEN_STANDARDS) == TOKEN_STANDARD_NON_FUNGIBLE;
}

static void read_creators(Reader *reader, Metadata *metadata) {
    metadata->creator_count = read_u32(reader);
    metadata->creators = read_bytes(reader, (u64)metadata->creator_count * CREATOR_BYTES);
    for (u32 i = 0; !reader->failed && i < metadata->creator_count; i++) {
        if (metadata->creators[i * CREATOR_BYTES + CREATOR_VERIFIED] > 1) reader->failed = true;
    }
}

void read_metadata_v1(Reader *reader, Metadata *metadata) {
    const u8 *start = reader->at;
    *metadata = (Metadata){0};
    read_common_fields(reader, metadata);
    if (read_bool(reader)) read_u8(reader); /* edition_nonce */
    read_token_standard(reader, metadata);
    if (read_bool(reader)) {
        metadata->verified_offset = (u64)(reader->at - start);
        metadata->collection_is_verified = read_bool(reader);
        metadata->collection = read_key(reader);
    }
    if (read_bool(reader)) { /* uses */
        read_variant(reader, USE_METHODS);
        read_bytes(reader, 16);
    }
    read_variant(reader, TOKEN_PROGRAM_VERSIONS);
    read_creators(reader, metadata);
    metadata->serialized = (Slice){start, (u64)(reader->at - start)};
}

void read_metadata_v2(Reader *reader, Metadata *metadata) {
    const u8 *start = reader->at;
    *metadata = (Metadata){0};
    read_common_fields(reader, metadata);
    read_token_standard(reader, metadata);
    read_creators(reader, metadata);
    if (read_bool(reader)) metadata->collection = read_key(reader);
    metadata->serialized = (Slice){start, (u64)(reader->at - start)};
}

/* ---- rules ------------------------------------------------------------------------------------------------------ */

bool metadata_inherits_fee(const Metadata *metadata) {
    return metadata->seller_fee_basis_points == BASIS_POINTS_INHERITED;
}

static Result check_creators(const Metadata *metadata) {
    REQUIRE(metadata->creator_count <= MAX_CREATORS, CREATORS_TOO_LONG);
    u32 total_share = 0;
    for (u32 i = 0; i < metadata->creator_count; i++) {
        const u8 *creator = metadata->creators + i * CREATOR_BYTES;
        for (u32 j = 0; j < i; j++) {
            REQUIRE(!key_equal(creator, metadata->creators + j * CREATOR_BYTES), DUPLICATE_CREATOR_ADDRESS);
        }
        total_share += creator[CREATOR_SHARE];
    }
    REQUIRE(metadata->creator_count == 0 || total_share == 100, CREATOR_SHARE_TOTAL_MUST_BE_100);
    return OK;
}

Result metadata_check(const Metadata *metadata, bool may_inherit) {
    REQUIRE(metadata->name.length <= MAX_NAME_BYTES, METADATA_NAME_TOO_LONG);
    REQUIRE(metadata->symbol.length <= MAX_SYMBOL_BYTES, METADATA_SYMBOL_TOO_LONG);
    REQUIRE(metadata->uri.length <= MAX_URI_BYTES, METADATA_URI_TOO_LONG);
    bool inherits = may_inherit && metadata_inherits_fee(metadata);
    REQUIRE(inherits || metadata->seller_fee_basis_points <= MAX_BASIS_POINTS, METADATA_BASIS_POINTS_TOO_HIGH);
    REQUIRE(!inherits || metadata->creator_count == 0, INHERITED_SELLER_FEE_CANNOT_HAVE_LEAF_CREATORS);
    TRY(check_creators(metadata));
    REQUIRE(metadata->is_non_fungible, INVALID_TOKEN_STANDARD);
    return OK;
}

/* ---- hashes ----------------------------------------------------------------------------------------------------- */

void metadata_data_hash(const Metadata *metadata, bool verify_collection, u8 *hash) {
    static const u8 VERIFIED[1] = {1};
    Slice all = metadata->serialized;
    if (verify_collection) {
        u64 after = metadata->verified_offset + 1;
        Slice parts[3] = {
            {all.at, metadata->verified_offset}, SLICE_OF(VERIFIED), {all.at + after, all.length - after}};
        keccak(parts, 3, hash);
    } else {
        keccak(&all, 1, hash);
    }
    u8 fee[2];
    store_u16(fee, metadata->seller_fee_basis_points);
    Slice parts[2] = {{hash, HASH_BYTES}, SLICE_OF(fee)};
    keccak(parts, 2, hash);
}

void metadata_creator_hash(const Metadata *metadata, u8 *hash) {
    Slice creators = {metadata->creators, (u64)metadata->creator_count * CREATOR_BYTES};
    keccak(&creators, 1, hash);
}
