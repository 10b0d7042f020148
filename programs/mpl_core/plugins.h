/* The plugins of a CreateCollection instruction: reading, checking, and writing them into the account. */
#ifndef PROGRAMS_MPL_CORE_PLUGINS_H
#define PROGRAMS_MPL_CORE_PLUGINS_H

#include "collection.h"

#define MAX_PLUGINS 16

/* One plugin as the instruction gives it. */
typedef struct {
    Slice serialized; /* the type byte and the plugin's own fields */
    PluginAuthority authority;
    u8 type;
} PluginArgument;

typedef struct {
    PluginArgument *plugins; /* room for MAX_PLUGINS */
    u64 count;
} PluginArguments;

/* Read `Option<Vec<PluginAuthorityPair>>` and refuse what a collection may not have. */
Result read_plugins(Reader *reader, PluginArguments *arguments);

/* Bytes that header, plugins and registry take; 0 without plugins. */
u64 plugins_size(const PluginArguments *arguments);

/* Write header, plugins and registry behind the collection's base fields. */
void write_plugins(Writer *writer, const PluginArguments *arguments);

#endif
