/* Local stand-in of MPL-Core (CoREENxT6tW1HoK8ypY1SxRMZTcVPm7R94rH4PZNhX7d): what compressed NFTs need of it.
 *
 * Written from the public interface (official clients, documentation), for local clusters only; never deploy it.
 * CreateCollectionV1 and V2 with the built-in plugins, and UpdateCollectionInfoV1, through which Bubblegum counts its
 * NFTs. No assets, no updates, no external plugin adapters: those instructions answer InvalidInstructionData. */
#include "collection.h"
#include "errors.h"
#include "plugins.h"
#include "system.h"

/* ---- CreateCollectionV1, CreateCollectionV2 --------------------------------------------------------------------- */

typedef struct {
    Slice name, uri;
    PluginArguments plugins;
} CreateArguments;

static Result read_create_arguments(Reader *reader, bool with_adapters, CreateArguments *arguments) {
    arguments->name = read_slice(reader);
    arguments->uri = read_slice(reader);
    TRY(read_plugins(reader, &arguments->plugins));
    u32 adapters = with_adapters && read_bool(reader) ? read_u32(reader) : 0;
    if (reader->failed) return ERR_INVALID_INSTRUCTION_DATA;
    if (adapters > 0) {
        LOG("The stand-in does not implement external plugin adapters");
        return CORE_NOT_AVAILABLE;
    }
    return OK;
}

static u64 collection_size(const CreateArguments *arguments) {
    u64 base = 1 + KEY_BYTES + sizeof(u32) + arguments->name.length + sizeof(u32) + arguments->uri.length + 2 * sizeof(u32);
    return base + plugins_size(&arguments->plugins);
}

static Result write_collection(const Account *collection, const u8 *update_authority, const CreateArguments *arguments) {
    Writer writer = writer_into(collection->data, collection->data_length);
    write_u8(&writer, CORE_KEY_COLLECTION_V1);
    write_key(&writer, update_authority);
    write_slice(&writer, arguments->name);
    write_slice(&writer, arguments->uri);
    write_u32(&writer, 0); /* num_minted */
    write_u32(&writer, 0); /* current_size */
    write_plugins(&writer, &arguments->plugins);
    return writer.failed ? ERR_ACCOUNT_DATA_TOO_SMALL : OK;
}

static Result create_collection(Context *context, Reader *reader, bool with_adapters) {
    enum { COLLECTION, UPDATE_AUTHORITY, PAYER, SYSTEM_PROGRAM, ACCOUNTS };
    CreateArguments arguments;
    TRY(read_create_arguments(reader, with_adapters, &arguments));
    if (context->account_count < ACCOUNTS) return ERR_NOT_ENOUGH_ACCOUNT_KEYS;
    Account *accounts = context->accounts;
    if (!accounts[COLLECTION].is_signer || !accounts[PAYER].is_signer) return ERR_MISSING_REQUIRED_SIGNATURE;
    if (!key_equal(accounts[SYSTEM_PROGRAM].key, SYSTEM_PROGRAM_ID)) return CORE_ERROR(CORE_INVALID_SYSTEM_PROGRAM);
    /* Our own address in its place says that the payer is the update authority. */
    bool is_default = key_equal(accounts[UPDATE_AUTHORITY].key, context->program_id);
    const u8 *update_authority = accounts[is_default ? PAYER : UPDATE_AUTHORITY].key;
    CallScope scope = call_scope(context, NULL, 0);
    TRY(system_create_account(&scope, &accounts[PAYER], &accounts[COLLECTION], collection_size(&arguments),
                              context->program_id));
    return write_collection(&accounts[COLLECTION], update_authority, &arguments);
}

/* ---- UpdateCollectionInfoV1 ------------------------------------------------------------------------------------- */

static Result add(u8 *count, u32 amount) {
    u64 sum = (u64)load_u32(count) + amount;
    if (sum > 0xffffffff) return CORE_NUMERICAL_OVERFLOW;
    store_u32(count, (u32)sum);
    return OK;
}

static Result subtract(u8 *count, u32 amount) {
    if (load_u32(count) < amount) return CORE_NUMERICAL_OVERFLOW;
    store_u32(count, load_u32(count) - amount);
    return OK;
}

static Result update_collection_info(Context *context, Reader *reader) {
    enum { COLLECTION, BUBBLEGUM_SIGNER, ACCOUNTS };
    u8 update = read_variant(reader, COLLECTION_UPDATES);
    u32 amount = read_u32(reader);
    if (reader->failed) return ERR_INVALID_INSTRUCTION_DATA;
    if (context->account_count < ACCOUNTS) return ERR_NOT_ENOUGH_ACCOUNT_KEYS;
    const Account *signer = &context->accounts[BUBBLEGUM_SIGNER];
    if (!signer->is_signer) return ERR_MISSING_REQUIRED_SIGNATURE;
    if (!key_equal(signer->key, BUBBLEGUM_CORE_CPI_SIGNER)) return CORE_INVALID_AUTHORITY;

    CoreCollection collection;
    if (!core_collection_read(&context->accounts[COLLECTION], &collection)) return CORE_DESERIALIZATION_ERROR;
    CorePlugin plugin;
    if (collection.registry_offset == 0) return CORE_PLUGINS_NOT_INITIALIZED;
    if (!core_collection_plugin(&collection, PLUGIN_BUBBLEGUM_V2, &plugin)) return CORE_PLUGIN_NOT_FOUND;
    u8 *num_minted = collection.counts;
    u8 *current_size = collection.counts + sizeof(u32);
    if (update == COLLECTION_UPDATE_REMOVE) return subtract(current_size, amount);
    if (update == COLLECTION_UPDATE_MINT) TRY(add(num_minted, amount));
    return add(current_size, amount);
}

/* ---- entry ------------------------------------------------------------------------------------------------------ */

static Result process(Context *context) {
    LOG("MPL-Core local stand-in");
    Reader reader = reader_over(context->data, context->data_length);
    u8 instruction = read_u8(&reader);
    if (reader.failed) return ERR_INVALID_INSTRUCTION_DATA;
    switch (instruction) {
        case CORE_INSTRUCTION_CREATE_COLLECTION_V1:
            LOG("Instruction: CreateCollection");
            return create_collection(context, &reader, false);
        case CORE_INSTRUCTION_CREATE_COLLECTION_V2:
            LOG("Instruction: CreateCollectionV2");
            return create_collection(context, &reader, true);
        case CORE_INSTRUCTION_UPDATE_COLLECTION_INFO_V1:
            LOG("Instruction: UpdateCollectionInfoV1");
            return update_collection_info(context, &reader);
        default:
            LOG("The stand-in does not implement this instruction");
            return ERR_INVALID_INSTRUCTION_DATA;
    }
}

PROGRAM_ENTRYPOINT(process)
