// Wallets of the browser, by the Wallet Standard's two events; and signing in with one (docs/access.md).

import { call } from "./api.js";

/**
 * @typedef {{address: string, chains: readonly string[], features: readonly string[]}} Account
 * @typedef {{name: string, icon: string, features: Record<string, any>, accounts: readonly Account[]}} Wallet
 */

/** @type {Set<Wallet>} */
const known = new Set();
const api = {
  /** @param {...Wallet} registered */
  register: (...registered) => {
    for (const wallet of registered) known.add(wallet);
    return () => registered.forEach((wallet) => known.delete(wallet));
  },
};
window.addEventListener("wallet-standard:register-wallet", (event) => /** @type {CustomEvent} */ (event).detail(api));
window.dispatchEvent(new CustomEvent("wallet-standard:app-ready", { detail: api }));

/** The wallets that can sign in or sign a message for Solana. */
export function wallets() {
  return [...known].filter(
    (wallet) => "standard:connect" in wallet.features && "solana:signMessage" in wallet.features,
  );
}

/** Returns a token for a wallet's first account. @param {Wallet} wallet @returns {Promise<string>} */
export async function signInWith(wallet) {
  const { accounts } = await wallet.features["standard:connect"].connect();
  const account = accounts.find((/** @type {Account} */ one) =>
    one.chains.some((chain) => chain.startsWith("solana:")),
  );
  if (!account) throw new Error(`${wallet.name} shared no Solana account`);
  const challenge = (
    await call("POST", "/api/auth/challenge", { body: { address: account.address, domain: location.host } })
  ).data;
  const message = new TextEncoder().encode(challenge.message);
  const [signed] = await wallet.features["solana:signMessage"].signMessage({ account, message });
  const body = { message: challenge.message, signature: base58(signed.signature) };
  return (await call("POST", "/api/auth/login", { body })).data.token;
}

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** @param {Uint8Array} bytes */
export function base58(bytes) {
  let number = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  let text = "";
  for (; number > 0n; number /= 58n) text = ALPHABET[Number(number % 58n)] + text;
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return "1".repeat(zeros < 0 ? bytes.length : zeros) + text;
}
