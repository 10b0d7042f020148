/* Local stand-in of Bubblegum (BGUMAp9Gq7iTEuizy4pqaxsTyUCBK68MDfK752saRPUY): entry point and dispatch.
 *
 * Written from the public interface (IDL, official clients, documentation), for local clusters only; never deploy it.
 * It creates trees and mints, transfers and burns leaves of both versions. Every other instruction of the real program
 * answers InstructionFallbackNotFound. */
#include "anchor.h"
#include "instructions.h"

/* sha256("global:<name>")[..8], little-endian. */
#define CREATE_TREE 0xdc2fca598e8853a5ULL
#define CREATE_TREE_V2 0xcde3cb8ed75f6337ULL
#define MINT_V1 0x687693b876c06291ULL
#define MINT_TO_COLLECTION_V1 0x0f569ec52fb21299ULL
#define MINT_V2 0xcdc76ead92177978ULL
#define TRANSFER 0xba45038ce7c834a3ULL
#define TRANSFER_V2 0x31f8ddeaeb062877ULL
#define BURN 0x5d2adb6b381d6e74ULL
#define BURN_V2 0x10b78fe8f022d273ULL

static Result process(Context *context) {
    LOG("Bubblegum local stand-in");
    Reader arguments;
    u64 discriminator;
    TRY(read_discriminator(context, &arguments, &discriminator));
    switch (discriminator) {
        case CREATE_TREE:
            LOG("Instruction: CreateTree");
            return create_tree_v1(context, &arguments);
        case CREATE_TREE_V2:
            LOG("Instruction: CreateTreeV2");
            return create_tree_v2(context, &arguments);
        case MINT_V1:
            LOG("Instruction: MintV1");
            return mint_v1(context, &arguments);
        case MINT_TO_COLLECTION_V1:
            LOG("Instruction: MintToCollectionV1");
            return mint_to_collection_v1(context, &arguments);
        case MINT_V2:
            LOG("Instruction: MintV2");
            return mint_v2(context, &arguments);
        case TRANSFER:
            LOG("Instruction: Transfer");
            return transfer_v1(context, &arguments);
        case TRANSFER_V2:
            LOG("Instruction: TransferV2");
            return transfer_v2(context, &arguments);
        case BURN:
            LOG("Instruction: Burn");
            return burn_v1(context, &arguments);
        case BURN_V2:
            LOG("Instruction: BurnV2");
            return burn_v2(context, &arguments);
        default:
            LOG("The stand-in does not implement this instruction");
            return anchor_error(&INSTRUCTION_FALLBACK_NOT_FOUND);
    }
}

PROGRAM_ENTRYPOINT(process)
