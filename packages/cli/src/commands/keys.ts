/** `ltx-trainer keys`: making, listing and revoking the keys of the service, whether it runs or not. */
import { CreatedKey, KeyList, type KeysAction, RevokedKey } from "@ltx-trainer/contract";
import { keysProgram } from "@ltx-trainer/host";
import type { Console } from "../display/console.ts";
import { askServerTool } from "./ask-server-tool.ts";

type Place = { readonly home?: string };

export type CreateOptions = Place & {
  readonly name?: string;
  readonly user?: string;
  readonly scope?: string;
};

/** Makes a key and shows it; there is no other time to see it. */
export async function createKey({ home, ...options }: CreateOptions, console: Console): Promise<void> {
  const created = CreatedKey.parse(await ask("create", options, home));
  console.result(
    [
      `Key "${created.name}" of user ${created.user}, scope ${created.scope}, shown this once:`,
      "",
      `  export FAL_KEY="${created.key}"`,
      "",
      `To take it out of use: ltx-trainer keys revoke ${created.id}`,
    ].join("\n"),
    created,
  );
}

/** Shows every key there ever was, without its secret. */
export async function listKeys({ home }: Place, console: Console): Promise<void> {
  const list = KeyList.parse(await ask("list", {}, home));
  const lines = list.keys.map((key) => {
    const used = key.last_used_at === null ? "never used" : `used ${minute(key.last_used_at)}`;
    const state = key.revoked_at === null ? used : `revoked ${minute(key.revoked_at)}`;
    return [key.id, key.scope.padEnd(5), key.user.padEnd(12), minute(key.created_at), state, key.name].join(
      "  ",
    );
  });
  console.result(
    lines.length === 0 ? "no keys; `ltx-trainer keys create` makes one" : lines.join("\n"),
    list,
  );
}

/** Takes a key out of use. */
export async function revokeKey(id: string, { home }: Place, console: Console): Promise<void> {
  const revoked = RevokedKey.parse(await ask("revoke", { id }, home));
  console.result(`Key "${revoked.name}" is revoked; it stops working within seconds.`, revoked);
}

/** `2026-11-25 03:20`, UTC. */
function minute(moment: string): string {
  return moment.slice(0, 16).replace("T", " ");
}

const ask = (action: KeysAction, options: object, home: string | undefined) =>
  askServerTool(keysProgram(), { action, options, home });
