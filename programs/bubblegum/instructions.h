/* The instructions of the stand-in. Each gets the instruction data behind the discriminator. */
#ifndef PROGRAMS_BUBBLEGUM_INSTRUCTIONS_H
#define PROGRAMS_BUBBLEGUM_INSTRUCTIONS_H

#include "borsh.h"

Result create_tree_v1(Context *context, Reader *arguments);
Result create_tree_v2(Context *context, Reader *arguments);
Result mint_v1(Context *context, Reader *arguments);
Result mint_to_collection_v1(Context *context, Reader *arguments);
Result mint_v2(Context *context, Reader *arguments);
Result transfer_v1(Context *context, Reader *arguments);
Result transfer_v2(Context *context, Reader *arguments);
Result burn_v1(Context *context, Reader *arguments);
Result burn_v2(Context *context, Reader *arguments);

#endif
