/* See collection_v2.h. */
#include "collection_v2.h"

#include "anchor.h"
#include "errors.h"

/* The bump of PDA ["mpl_core_cpi_signer"]: a constant of the program, so that no search is needed. */
static const u8 CORE_CPI_BUMP[1] = {252};

Result collection_v2_load(const Account *account, CoreCollection *collection) {
    REQUIRE(core_collection_read(account, collection), INCORRECT_OWNER);
    CorePlugin plugin;
    bool has_plugin = core_collection_plugin(collection, PLUGIN_BUBBLEGUM_V2, &plugin);
    REQUIRE(has_plugin, COLLECTION_MUST_HAVE_BUBBLEGUM_PLUGIN);
    return OK;
}

Result collection_v2_check_counter(const CollectionCounter *counter) {
    TRY(require_writable(counter->collection, "core_collection"));
    REQUIRE(counter->cpi_signer != NULL, MISSING_MPL_CORE_CPI_SIGNER_ACCOUNT);
    REQUIRE_ACCOUNT(key_equal(counter->cpi_signer->key, BUBBLEGUM_CORE_CPI_SIGNER), CONSTRAINT_SEEDS,
                    "mpl_core_cpi_signer");
    return require_program(counter->core_program, MPL_CORE_ID, "mpl_core_program");
}

Result collection_v2_count(const CollectionCounter *counter, u8 update) {
    Writer data = writer_allocate(6);
    write_u8(&data, CORE_INSTRUCTION_UPDATE_COLLECTION_INFO_V1);
    write_u8(&data, update);
    write_u32(&data, 1);
    Meta metas[2] = {{counter->collection->key, true, false}, {counter->cpi_signer->key, false, true}};
    Instruction instruction = {counter->core_program->key, metas, 2, data.start, writer_length(&data)};
    Slice seeds[2] = {LITERAL("mpl_core_cpi_signer"), SLICE_OF(CORE_CPI_BUMP)};
    SignerSeeds signer = {seeds, 2};
    Context *context = counter->context;
    return invoke_signed(&instruction, context->accounts, context->account_count, &signer, 1);
}
