/* Reading an MPL-Core collection account: the base fields, the plugin registry and single plugins.
 *
 * Used by the mpl_core stand-in, which writes such accounts, and by the bubblegum stand-in, which obeys their plugins.
 * Layout (the account and type definitions of the public MPL-Core clients):
 *
 *   key u8, update authority 32, name string, uri string, num_minted u32, current_size u32
 *   and only with plugins:
 *   header:   key u8, offset of the registry u64
 *   plugins:  type u8, then the plugin's own fields, one after another
 *   registry: key u8, records (u32 count; type u8, authority, offset u64), external records (u32 count, 0 here) */
#ifndef PROGRAMS_MPL_CORE_COLLECTION_H
#define PROGRAMS_MPL_CORE_COLLECTION_H

#include "addresses.h"
#include "known_addresses.h"
#include "borsh.h"

enum { CORE_KEY_PLUGIN_HEADER_V1 = 3, CORE_KEY_PLUGIN_REGISTRY_V1 = 4, CORE_KEY_COLLECTION_V1 = 5 };

enum {
    PLUGIN_ROYALTIES = 0,
    PLUGIN_UPDATE_DELEGATE = 4,
    PLUGIN_PERMANENT_FREEZE_DELEGATE = 5,
    PLUGIN_ATTRIBUTES = 6,
    PLUGIN_PERMANENT_TRANSFER_DELEGATE = 7,
    PLUGIN_PERMANENT_BURN_DELEGATE = 8,
    PLUGIN_MASTER_EDITION = 10,
    PLUGIN_ADD_BLOCKER = 11,
    PLUGIN_IMMUTABLE_METADATA = 12,
    PLUGIN_VERIFIED_CREATORS = 13,
    PLUGIN_AUTOGRAPH = 14,
    PLUGIN_BUBBLEGUM_V2 = 15,
    PLUGIN_FREEZE_EXECUTE = 16,
    PLUGIN_PERMANENT_FREEZE_EXECUTE = 17,
    PLUGIN_GROUPS = 18,
};

enum { AUTHORITY_NONE = 0, AUTHORITY_OWNER = 1, AUTHORITY_UPDATE_AUTHORITY = 2, AUTHORITY_ADDRESS = 3, AUTHORITIES = 4 };

/* A plugin authority: `address` is set for AUTHORITY_ADDRESS only. */
typedef struct {
    u8 kind;
    const u8 *address;
} PluginAuthority;

static inline void read_plugin_authority(Reader *reader, PluginAuthority *authority) {
    authority->kind = read_variant(reader, AUTHORITIES);
    authority->address = authority->kind == AUTHORITY_ADDRESS ? read_key(reader) : NULL;
}

typedef struct {
    const Account *account;
    const u8 *update_authority;
    u8 *counts; /* num_minted u32, then current_size u32 */
    u64 registry_offset; /* 0: no plugin was ever added */
} CoreCollection;

/* Is this account a collection of MPL-Core? Fills in `collection`. */
static inline bool core_collection_read(const Account *account, CoreCollection *collection) {
    if (!key_equal(account->owner, MPL_CORE_ID)) return false;
    Reader reader = reader_over(account->data, account->data_length);
    if (read_u8(&reader) != CORE_KEY_COLLECTION_V1) return false;
    collection->account = account;
    collection->update_authority = read_key(&reader);
    read_slice(&reader); /* name */
    read_slice(&reader); /* uri */
    collection->counts = (u8 *)read_bytes(&reader, 8);
    if (reader.failed) return false;
    collection->registry_offset = 0;
    if (reader_left(&reader) == 0) return true;
    if (read_u8(&reader) != CORE_KEY_PLUGIN_HEADER_V1) return false;
    collection->registry_offset = read_u64(&reader);
    return !reader.failed && collection->registry_offset < account->data_length;
}

/* Is `authority` of `collection` this key? Nobody owns a collection, so AUTHORITY_OWNER is nobody. */
static inline bool core_authority_is(const CoreCollection *collection, const PluginAuthority *authority, const u8 *key) {
    if (authority->kind == AUTHORITY_UPDATE_AUTHORITY) return key_equal(collection->update_authority, key);
    return authority->kind == AUTHORITY_ADDRESS && key_equal(authority->address, key);
}

typedef struct {
    PluginAuthority authority;
    Reader fields; /* the plugin's own fields, behind its type byte */
} CorePlugin;

/* Find the collection's plugin of this type. */
static inline bool core_collection_plugin(const CoreCollection *collection, u8 type, CorePlugin *plugin) {
    if (collection->registry_offset == 0) return false;
    const Account *account = collection->account;
    Reader registry = reader_over(account->data, account->data_length);
    read_bytes(&registry, collection->registry_offset);
    if (read_u8(&registry) != CORE_KEY_PLUGIN_REGISTRY_V1) return false;
    u32 count = read_u32(&registry);
    for (u32 i = 0; i < count && !registry.failed; i++) {
        u8 record_type = read_u8(&registry);
        PluginAuthority authority;
        read_plugin_authority(&registry, &authority);
        u64 offset = read_u64(&registry);
        if (registry.failed || record_type != type) continue;
        Reader fields = reader_over(account->data, account->data_length);
        read_bytes(&fields, offset);
        if (read_u8(&fields) != type) return false;
        *plugin = (CorePlugin){authority, fields};
        return true;
    }
    return false;
}

/* Is `key` the authority that the collection gave to its plugin of this type? */
static inline bool core_collection_delegated(const CoreCollection *collection, u8 type, const u8 *key) {
    CorePlugin plugin;
    return core_collection_plugin(collection, type, &plugin) && core_authority_is(collection, &plugin.authority, key);
}

/* Has the collection's PermanentFreezeDelegate frozen all of it? */
static inline bool core_collection_is_frozen(const CoreCollection *collection) {
    CorePlugin plugin;
    return core_collection_plugin(collection, PLUGIN_PERMANENT_FREEZE_DELEGATE, &plugin) && read_bool(&plugin.fields);
}

/* May `key` manage the collection: its update authority, its UpdateDelegate, or one of the additional delegates? */
static inline bool core_collection_managed_by(const CoreCollection *collection, const u8 *key) {
    if (key_equal(collection->update_authority, key)) return true;
    CorePlugin plugin;
    if (!core_collection_plugin(collection, PLUGIN_UPDATE_DELEGATE, &plugin)) return false;
    if (core_authority_is(collection, &plugin.authority, key)) return true;
    u32 count = read_u32(&plugin.fields);
    for (u32 i = 0; i < count && !plugin.fields.failed; i++) {
        const u8 *delegate = read_key(&plugin.fields);
        if (delegate && key_equal(delegate, key)) return true;
    }
    return false;
}

/* Instruction numbers, the first byte of the data. */
enum {
    CORE_INSTRUCTION_CREATE_COLLECTION_V1 = 1,
    CORE_INSTRUCTION_CREATE_COLLECTION_V2 = 21,
    CORE_INSTRUCTION_UPDATE_COLLECTION_INFO_V1 = 32,
};
/* UpdateCollectionInfoV1: what Bubblegum says happened to the collection. */
enum { COLLECTION_UPDATE_MINT = 0, COLLECTION_UPDATE_ADD = 1, COLLECTION_UPDATE_REMOVE = 2, COLLECTION_UPDATES = 3 };

#endif
