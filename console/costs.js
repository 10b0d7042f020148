// What minting costs, as far as it is known beforehand: without priority fees, which follow the market. Pure.

/** Lamports of a transaction with one signature. */
const SIGNATURE_FEE = 5000;
const LAMPORTS_PER_SOL = 1e9;

/** @param {number} lamports */
export function toSol(lamports) {
  return lamports / LAMPORTS_PER_SOL;
}

/**
 * Lamports that an NFT costs at most: as if each had a transaction to itself.
 * @param {{protocolFee: number}} perNft of an estimate
 */
export function mostEach(perNft) {
  return SIGNATURE_FEE + perNft.protocolFee;
}
