/* See plugins.h. Types and their fields: the public MPL-Core clients. Which of them a collection may have, and beside
 * BubblegumV2: the plugins' documentation. */
#include "plugins.h"

#include "errors.h"

#define PLUGIN_TYPES 19
#define MAX_BASIS_POINTS 10000
#define ROYALTY_CREATOR_BYTES 33 /* address 32, percentage 1 */
#define RULE_SETS 3
#define HEADER_BYTES 9
#define RECORD_BYTES 10 /* type 1, authority kind 1, offset 8; and 32 more for an address */

/* ---- fields ----------------------------------------------------------------------------------------------------- */

static void skip_entries(Reader *reader, u64 entry_bytes) {
    u32 count = read_u32(reader);
    read_bytes(reader, count * entry_bytes);
}

static void skip_optional_string(Reader *reader) {
    if (read_bool(reader)) read_slice(reader);
}

/* Percentages that make 100, no creator twice, and a rate up to 100 %. */
static Result read_royalties(Reader *reader) {
    u16 basis_points = read_u16(reader);
    u32 count = read_u32(reader);
    const u8 *creators = read_bytes(reader, (u64)count * ROYALTY_CREATOR_BYTES);
    if (read_variant(reader, RULE_SETS) != 0) skip_entries(reader, KEY_BYTES);
    if (reader->failed) return OK; /* reported once, by read_plugins */
    u32 total = 0;
    for (u32 i = 0; i < count; i++) {
        const u8 *creator = creators + i * ROYALTY_CREATOR_BYTES;
        for (u32 j = 0; j < i; j++) {
            if (key_equal(creator, creators + j * ROYALTY_CREATOR_BYTES)) return CORE_INVALID_PLUGIN_SETTING;
        }
        total += creator[KEY_BYTES];
    }
    return basis_points <= MAX_BASIS_POINTS && total == 100 ? OK : CORE_INVALID_PLUGIN_SETTING;
}

static void skip_attributes(Reader *reader) {
    u32 count = read_u32(reader);
    for (u32 i = 0; i < count && !reader->failed; i++) {
        read_slice(reader);
        read_slice(reader);
    }
}

static void skip_autographs(Reader *reader) {
    u32 count = read_u32(reader);
    for (u32 i = 0; i < count && !reader->failed; i++) {
        read_key(reader);
        read_slice(reader);
    }
}

/* Step over the plugin's own fields; InvalidPlugin for types that only assets may have. */
static Result read_fields(Reader *reader, u8 type) {
    switch (type) {
        case PLUGIN_ROYALTIES:
            return read_royalties(reader);
        case PLUGIN_UPDATE_DELEGATE:
            skip_entries(reader, KEY_BYTES);
            return OK;
        case PLUGIN_PERMANENT_FREEZE_DELEGATE:
            read_bool(reader);
            return OK;
        case PLUGIN_ATTRIBUTES:
            skip_attributes(reader);
            return OK;
        case PLUGIN_MASTER_EDITION:
            if (read_bool(reader)) read_u32(reader);
            skip_optional_string(reader);
            skip_optional_string(reader);
            return OK;
        case PLUGIN_VERIFIED_CREATORS:
            skip_entries(reader, KEY_BYTES + 1);
            return OK;
        case PLUGIN_AUTOGRAPH:
            skip_autographs(reader);
            return OK;
        case PLUGIN_PERMANENT_TRANSFER_DELEGATE:
        case PLUGIN_PERMANENT_BURN_DELEGATE:
        case PLUGIN_ADD_BLOCKER:
        case PLUGIN_IMMUTABLE_METADATA:
        case PLUGIN_BUBBLEGUM_V2:
            return OK; /* no fields */
        case PLUGIN_FREEZE_EXECUTE:
        case PLUGIN_PERMANENT_FREEZE_EXECUTE:
        case PLUGIN_GROUPS:
            LOG("The stand-in does not implement this plugin");
            return CORE_NOT_AVAILABLE;
        default:
            return CORE_INVALID_PLUGIN;
    }
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static Result read_plugin(Reader *reader, PluginArgument *plugin) {
    const u8 *start = reader->at;
    plugin->type = read_variant(reader, PLUGIN_TYPES);
    TRY(read_fields(reader, plugin->type));
    plugin->serialized = (Slice){start, (u64)(reader->at - start)};
    /* Whoever may change the collection manages every plugin that a collection can have, unless it says otherwise. */
    plugin->authority = (PluginAuthority){AUTHORITY_UPDATE_AUTHORITY, NULL};
    if (read_bool(reader)) read_plugin_authority(reader, &plugin->authority);
    return OK;
}

static bool has_plugin(const PluginArguments *arguments, u8 type) {
    for (u64 i = 0; i < arguments->count; i++) {
        if (arguments->plugins[i].type == type) return true;
    }
    return false;
}

static bool fits_bubblegum(u8 type) {
    return type == PLUGIN_BUBBLEGUM_V2 || type == PLUGIN_ROYALTIES || type == PLUGIN_UPDATE_DELEGATE ||
           type == PLUGIN_ATTRIBUTES || type == PLUGIN_PERMANENT_FREEZE_DELEGATE ||
           type == PLUGIN_PERMANENT_TRANSFER_DELEGATE || type == PLUGIN_PERMANENT_BURN_DELEGATE;
}

static Result check_beside_bubblegum(const PluginArguments *arguments) {
    if (!has_plugin(arguments, PLUGIN_BUBBLEGUM_V2)) return OK;
    for (u64 i = 0; i < arguments->count; i++) {
        if (!fits_bubblegum(arguments->plugins[i].type)) return CORE_BLOCKED_BY_BUBBLEGUM_V2;
    }
    return OK;
}

Result read_plugins(Reader *reader, PluginArguments *arguments) {
    arguments->plugins = allocate(MAX_PLUGINS * sizeof(PluginArgument));
    arguments->count = 0;
    u32 count = read_bool(reader) ? read_u32(reader) : 0;
    for (u32 i = 0; i < count && !reader->failed; i++) {
        PluginArgument plugin;
        TRY(read_plugin(reader, &plugin));
        if (reader->failed) break;
        if (has_plugin(arguments, plugin.type)) return CORE_PLUGIN_ALREADY_EXISTS;
        if (arguments->count == MAX_PLUGINS) return CORE_NOT_AVAILABLE;
        arguments->plugins[arguments->count++] = plugin;
    }
    if (reader->failed) return ERR_INVALID_INSTRUCTION_DATA;
    return check_beside_bubblegum(arguments);
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static u64 record_size(const PluginArgument *plugin) {
    return RECORD_BYTES + (plugin->authority.kind == AUTHORITY_ADDRESS ? KEY_BYTES : 0);
}

u64 plugins_size(const PluginArguments *arguments) {
    if (arguments->count == 0) return 0;
    u64 size = HEADER_BYTES + 1 + 2 * sizeof(u32); /* registry key, and the counts of its two lists */
    for (u64 i = 0; i < arguments->count; i++) {
        size += arguments->plugins[i].serialized.length + record_size(&arguments->plugins[i]);
    }
    return size;
}

static void write_record(Writer *writer, const PluginArgument *plugin, u64 offset) {
    write_u8(writer, plugin->type);
    write_u8(writer, plugin->authority.kind);
    if (plugin->authority.kind == AUTHORITY_ADDRESS) write_key(writer, plugin->authority.address);
    write_u64(writer, offset);
}

void write_plugins(Writer *writer, const PluginArguments *arguments) {
    if (arguments->count == 0) return;
    u64 first = writer_length(writer) + HEADER_BYTES;
    u64 registry = first;
    for (u64 i = 0; i < arguments->count; i++) registry += arguments->plugins[i].serialized.length;
    write_u8(writer, CORE_KEY_PLUGIN_HEADER_V1);
    write_u64(writer, registry);
    for (u64 i = 0; i < arguments->count; i++) {
        Slice plugin = arguments->plugins[i].serialized;
        write_bytes(writer, plugin.at, plugin.length);
    }
    write_u8(writer, CORE_KEY_PLUGIN_REGISTRY_V1);
    write_u32(writer, (u32)arguments->count);
    u64 offset = first;
    for (u64 i = 0; i < arguments->count; i++) {
        write_record(writer, &arguments->plugins[i], offset);
        offset += arguments->plugins[i].serialized.length;
    }
    write_u32(writer, 0); /* external plugin adapters */
}
