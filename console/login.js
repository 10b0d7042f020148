// Signing in: with an API key, or with a wallet of the browser (Wallet Standard) where the gateway offers that.

import { ApiError, call } from "./api.js";
import { field, fill, h, notice } from "./dom.js";
import { signInWith, wallets } from "./wallet.js";

/**
 * @param {import("./app.js").Config} config
 * @param {(me: import("./app.js").Me) => void} enter
 */
export function loginView(config, enter) {
  const complaint = h("div");
  const key = h("input", { type: "password", autocomplete: "current-password", required: true, name: "key" });

  /** @param {Record<string, string>} credential */
  const begin = async (credential) => {
    fill(complaint);
    try {
      enter((await call("POST", "/console/session", { headers: credential })).data);
    } catch (error) {
      const unknown = error instanceof ApiError && error.code === "unauthorized";
      const { message } = /** @type {Error} */ (error);
      fill(complaint, notice("bad", unknown ? "This key is unknown, expired or revoked." : message));
    }
  };
  const form = h(
    "form",
    {
      class: "card stack",
      onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), begin({ "X-API-Key": key.value.trim() })),
    },
    field("API key", key, "Kept by the browser where no script can read it, for at most 12 hours."),
    h("button", { class: "main" }, "Sign in"),
    complaint,
  );
  if (!config.signIn) return h("div", { class: "narrow" }, form);

  const found = h("div", { class: "row" });
  const offer = () => {
    const buttons = wallets().map((wallet) =>
      h(
        "button",
        { onclick: () => enterWith(wallet) },
        h("img", { src: wallet.icon, alt: "", width: 20, height: 20 }),
        wallet.name,
      ),
    );
    fill(found, buttons.length ? buttons : h("p", { class: "empty" }, "No Solana wallet was found in this browser."));
  };
  /** @param {import("./wallet.js").Wallet} wallet */
  const enterWith = async (wallet) => {
    try {
      await begin({ Authorization: `Bearer ${await signInWith(wallet)}` });
    } catch (error) {
      fill(complaint, notice("bad", /** @type {Error} */ (error).message || "The wallet did not sign"));
    }
  };
  window.addEventListener("wallet-standard:register-wallet", () => setTimeout(offer));
  offer();
  return h(
    "div",
    { class: "narrow stack" },
    form,
    h("section", { class: "card stack" }, h("h2", null, "With a wallet"), found),
  );
}
