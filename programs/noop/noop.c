/* Stand-in for the noop programs (SPL's and Metaplex's): it accepts anything. Its only use is that a call to it leaves
 * its instruction data in the transaction's inner instructions, where indexers read events.
 *
 * The input is not parsed: any number of accounts and any data will do. Local use only.
 */
#include "sbf.h"

u64 entrypoint(u8 *input) {
    (void)input;
    LOG_STAND_IN();
    return OK;
}
