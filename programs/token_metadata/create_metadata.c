/* CreateMetadataAccountV3: the Metadata account of a mint. */
#include "instructions.h"
#include "mint.h"
#include "state.h"
#include "system.h"

#define MAX_NAME_BYTES 32
#define MAX_SYMBOL_BYTES 10
#define MAX_URI_BYTES 200
#define MAX_CREATORS 5
#define MAX_BASIS_POINTS 10000
#define CREATOR_BYTES 34 /* address 32, verified 1, share 1 */
#define COLLECTION_BYTES 33
#define USES_BYTES 17
#define USE_METHODS 3

/* The protocol's published fee for creating metadata, in lamports (0.01 SOL). It stays on the account, whose last byte
 * says that it was paid. */
#define CREATE_FEE 10000000
#define FEE_FLAG_OFFSET (METADATA_BYTES - 1)

enum { COLLECTION_DETAILS_V1 = 0, COLLECTION_DETAILS_VARIANTS = 2 };

typedef struct {
    Slice name, symbol, uri;
    const u8 *creators;   /* NULL when there are none */
    const u8 *collection; /* verified 1, key 32; NULL when there is none */
    const u8 *uses;       /* USES_BYTES; NULL when there are none */
    u32 creator_count;
    u16 seller_fee_basis_points;
    bool is_mutable;
    bool has_details;
    u8 details; /* the variant of CollectionDetails */
} Arguments;

static void read_creators(Reader *reader, Arguments *arguments) {
    if (!read_bool(reader)) return;
    arguments->creator_count = read_u32(reader);
    arguments->creators = read_bytes(reader, (u64)arguments->creator_count * CREATOR_BYTES);
}

static Result read_arguments(Reader *reader, Arguments *arguments) {
    *arguments = (Arguments){0};
    arguments->name = read_slice(reader);
    arguments->symbol = read_slice(reader);
    arguments->uri = read_slice(reader);
    arguments->seller_fee_basis_points = read_u16(reader);
    read_creators(reader, arguments);
    if (read_bool(reader)) arguments->collection = read_bytes(reader, COLLECTION_BYTES);
    if (read_bool(reader)) arguments->uses = read_bytes(reader, USES_BYTES);
    arguments->is_mutable = read_bool(reader);
    arguments->has_details = read_bool(reader);
    if (arguments->has_details) {
        arguments->details = read_variant(reader, COLLECTION_DETAILS_VARIANTS);
        read_bytes(reader, sizeof(u64)); /* V1: a size, which always starts at 0; V2: padding */
    }
    return reader->failed ? ERR_INVALID_INSTRUCTION_DATA : OK;
}

static Result check_creators(const Arguments *arguments, const Account *update_authority) {
    if (arguments->creators == NULL) return OK;
    if (arguments->creator_count > MAX_CREATORS) return TM_CREATORS_TOO_LONG;
    if (arguments->creator_count == 0) return TM_CREATORS_MUST_BE_AT_LEAST_ONE;
    u32 total_share = 0;
    for (u32 i = 0; i < arguments->creator_count; i++) {
        const u8 *creator = arguments->creators + i * CREATOR_BYTES;
        for (u32 j = 0; j < i; j++) {
            if (key_equal(creator, arguments->creators + j * CREATOR_BYTES)) return TM_DUPLICATE_CREATOR_ADDRESS;
        }
        bool may_be_verified = update_authority->is_signer && key_equal(creator, update_authority->key);
        if (creator[KEY_BYTES] && !may_be_verified) return TM_CANNOT_VERIFY_ANOTHER_CREATOR;
        total_share += creator[KEY_BYTES + 1];
    }
    return total_share == 100 ? OK : TM_SHARE_TOTAL_MUST_BE_100;
}

static Result check_arguments(const Arguments *arguments, const Account *update_authority) {
    if (arguments->name.length > MAX_NAME_BYTES) return TM_NAME_TOO_LONG;
    if (arguments->symbol.length > MAX_SYMBOL_BYTES) return TM_SYMBOL_TOO_LONG;
    if (arguments->uri.length > MAX_URI_BYTES) return TM_URI_TOO_LONG;
    if (arguments->seller_fee_basis_points > MAX_BASIS_POINTS) return TM_INVALID_BASIS_POINTS;
    TRY(check_creators(arguments, update_authority));
    if (arguments->collection && arguments->collection[0]) return TM_COLLECTION_CANNOT_BE_VERIFIED_HERE;
    if (arguments->uses && arguments->uses[0] >= USE_METHODS) return TM_INVALID_USE_METHOD;
    return OK;
}

/* Strings are padded with zeros to their limits, so that what follows stands at fixed offsets. */
static void write_padded(Writer *writer, Slice text, u32 length) {
    write_u32(writer, length);
    write_bytes(writer, text.at, text.length);
    write_room(writer, length - text.length); /* the account's fresh bytes are zero */
}

static void write_optional(Writer *writer, const u8 *bytes, u64 length) {
    write_bool(writer, bytes != NULL);
    if (bytes) write_bytes(writer, bytes, length);
}

typedef struct {
    const u8 *update_authority, *mint;
    u8 token_standard;
    u8 edition_bump;
} Identity;

static Result write_metadata(const Account *metadata, const Identity *identity, const Arguments *arguments) {
    Writer writer = writer_into(metadata->data, metadata->data_length);
    write_u8(&writer, KEY_METADATA_V1);
    write_key(&writer, identity->update_authority);
    write_key(&writer, identity->mint);
    write_padded(&writer, arguments->name, MAX_NAME_BYTES);
    write_padded(&writer, arguments->symbol, MAX_SYMBOL_BYTES);
    write_padded(&writer, arguments->uri, MAX_URI_BYTES);
    write_u16(&writer, arguments->seller_fee_basis_points);
    write_bool(&writer, arguments->creators != NULL);
    if (arguments->creators) {
        write_u32(&writer, arguments->creator_count);
        write_bytes(&writer, arguments->creators, (u64)arguments->creator_count * CREATOR_BYTES);
    }
    write_bool(&writer, false); /* primary_sale_happened */
    write_bool(&writer, arguments->is_mutable);
    write_optional(&writer, &identity->edition_bump, 1);   /* edition_nonce */
    write_optional(&writer, &identity->token_standard, 1); /* until a master edition makes it NonFungible */
    write_optional(&writer, arguments->collection, COLLECTION_BYTES);
    write_optional(&writer, arguments->uses, USES_BYTES);
    write_bool(&writer, arguments->has_details);
    if (arguments->has_details) {
        write_u8(&writer, arguments->details);
        write_u64(&writer, 0);
    }
    write_bool(&writer, false); /* programmable_config */
    return writer.failed ? ERR_ACCOUNT_DATA_TOO_SMALL : OK;
}

static Result pay_fee(Context *context, const Account *payer, const Account *metadata) {
    CallScope scope = call_scope(context, NULL, 0);
    TRY(system_transfer(&scope, payer, metadata, CREATE_FEE));
    metadata->data[FEE_FLAG_OFFSET] = 1;
    return OK;
}

Result create_metadata_account_v3(Context *context, Reader *reader) {
    enum { METADATA, MINT, MINT_AUTHORITY, PAYER, UPDATE_AUTHORITY, SYSTEM_PROGRAM, ACCOUNTS };
    Arguments arguments;
    TRY(read_arguments(reader, &arguments));
    if (context->account_count < ACCOUNTS) return ERR_NOT_ENOUGH_ACCOUNT_KEYS;
    Account *accounts = context->accounts;
    MintView mint;
    u8 bump;
    if (!is_metadata_address(accounts[METADATA].key, accounts[MINT].key, &bump)) return TM_INVALID_METADATA_KEY;
    TRY(mint_read(&accounts[MINT], &mint));
    TRY(mint_check_authority(&mint, &accounts[MINT_AUTHORITY]));
    if (!accounts[PAYER].is_signer) return ERR_MISSING_REQUIRED_SIGNATURE;
    if (!key_equal(accounts[SYSTEM_PROGRAM].key, SYSTEM_PROGRAM_ID)) return TM_INVALID_SYSTEM_PROGRAM;
    if (!key_is_zero(accounts[METADATA].owner)) return TM_ALREADY_INITIALIZED;
    TRY(check_arguments(&arguments, &accounts[UPDATE_AUTHORITY]));

    Slice seeds[4] = {
        LITERAL("metadata"), {TOKEN_METADATA_ID, KEY_BYTES}, {accounts[MINT].key, KEY_BYTES}, {&bump, 1}};
    SignerSeeds signer = {seeds, 4};
    CallScope scope = call_scope(context, &signer, 1);
    TRY(system_create_account(&scope, &accounts[PAYER], &accounts[METADATA], METADATA_BYTES, TOKEN_METADATA_ID));
    Identity identity = {accounts[UPDATE_AUTHORITY].key, accounts[MINT].key,
                         mint.decimals == 0 ? STANDARD_FUNGIBLE_ASSET : STANDARD_FUNGIBLE, 0};
    u8 edition[KEY_BYTES];
    Slice edition_seeds[4] = {seeds[0], seeds[1], seeds[2], LITERAL("edition")};
    TRY(find_program_address(edition_seeds, 4, TOKEN_METADATA_ID, edition, &identity.edition_bump));
    TRY(write_metadata(&accounts[METADATA], &identity, &arguments));
    return pay_fee(context, &accounts[PAYER], &accounts[METADATA]);
}
