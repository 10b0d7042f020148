/* The instructions of the stand-in. Each gets the instruction data behind the first byte. */
#ifndef PROGRAMS_TOKEN_METADATA_INSTRUCTIONS_H
#define PROGRAMS_TOKEN_METADATA_INSTRUCTIONS_H

#include "borsh.h"

Result create_metadata_account_v3(Context *context, Reader *arguments);
Result create_master_edition_v3(Context *context, Reader *arguments);
Result bubblegum_set_collection_size(Context *context, Reader *arguments);

#endif
