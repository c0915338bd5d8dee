/** Progress of a backup: one line that is rewritten on a terminal, else one line per 5 s. */

const terminalMs = 100;
const elsewhereMs = 5_000;

type Screen = { readonly isTTY?: boolean; write(text: string): unknown };

/** Returns a function that may be called per file. It limits how often it writes. */
export function makeProgress(screen: Screen): (title: string, done: number, total: number) => void {
  const started = new Map<string, number>();
  let shownAt = 0;
  return (title, done, total) => {
    const now = performance.now();
    const since = started.get(title) ?? now;
    started.set(title, since);
    const isEnd = done >= total;
    if (!isEnd && now - shownAt < (screen.isTTY ? terminalMs : elsewhereMs)) return;
    shownAt = now;
    const share = total === 0 ? 1 : done / total;
    const left = share > 0 && share < 1 ? ((now - since) / 1000) * (1 / share - 1) : 0;
    const eta = isEnd ? "" : `, ${Math.ceil(left)} s left`;
    const text = `${title.padEnd(10)} ${String(Math.floor(share * 100)).padStart(3)} %${eta}`;
    screen.write(screen.isTTY ? `\r${text}\u001b[K${isEnd ? "\n" : ""}` : `${text}\n`);
  };
}
