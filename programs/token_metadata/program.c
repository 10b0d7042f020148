/* Local stand-in of token metadata (metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s): what V1 collections need of it.
 *
 * Written from the public interface (official clients, documentation), for local clusters only; never deploy it.
 * CreateMetadataAccountV3, CreateMasterEditionV3 and BubblegumSetCollectionSize. Every other instruction answers
 * InvalidInstructionData. */
#include "instructions.h"
#include "state.h"

enum { CREATE_MASTER_EDITION_V3 = 17, CREATE_METADATA_ACCOUNT_V3 = 33 };

static Result process(Context *context) {
    LOG("Token metadata local stand-in");
    Reader arguments = reader_over(context->data, context->data_length);
    u8 instruction = read_u8(&arguments);
    if (arguments.failed) return ERR_INVALID_INSTRUCTION_DATA;
    switch (instruction) {
        case CREATE_METADATA_ACCOUNT_V3:
            LOG("IX: Create Metadata Accounts v3");
            return create_metadata_account_v3(context, &arguments);
        case CREATE_MASTER_EDITION_V3:
            LOG("IX: Create Master Edition v3");
            return create_master_edition_v3(context, &arguments);
        case INSTRUCTION_BUBBLEGUM_SET_COLLECTION_SIZE:
            LOG("IX: Bubblegum Set Collection Size");
            return bubblegum_set_collection_size(context, &arguments);
        default:
            LOG("The stand-in does not implement this instruction");
            return ERR_INVALID_INSTRUCTION_DATA;
    }
}

PROGRAM_ENTRYPOINT(process)
