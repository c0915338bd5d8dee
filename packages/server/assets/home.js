/** The page at /: fills in the key, switches tabs, copies samples, and keeps the status current. */

const byId = (id) => document.getElementById(id);
const keyField = byId("key");
const placeholder = "YOUR_KEY";

function fillKey() {
  const key = keyField.value.trim();
  for (const place of document.querySelectorAll("[data-key]")) {
    place.dataset.value = key;
    place.textContent = key === "" ? placeholder : byId("shown").checked ? key : "•".repeat(12);
  }
}

/** The terminal's link carries the key behind the #, which browsers send to nobody; it leaves the address bar at once. */
function takeKeyFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given === null) return;
  keyField.value = given;
  history.replaceState(null, "", location.pathname);
}

function select(tab) {
  for (const other of document.querySelectorAll("[role=tab]")) {
    const isSelected = other === tab;
    other.setAttribute("aria-selected", String(isSelected));
    other.tabIndex = isSelected ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !isSelected;
  }
}

function selectByArrow(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step === undefined) return;
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
  select(next);
  next.focus();
}

/** What a sample says, with the key itself where the page shows dots. */
function sampleText(code) {
  const copy = code.cloneNode(true);
  for (const place of copy.querySelectorAll("[data-key]")) {
    place.textContent = place.dataset.value || placeholder;
  }
  return copy.textContent;
}

function addCopyButton(pre) {
  const sample = document.createElement("div");
  sample.className = "sample";
  pre.replaceWith(sample);
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(sampleText(pre.firstElementChild));
    button.textContent = "Copied";
    setTimeout(() => {
      button.textContent = "Copy";
    }, 1500);
  });
  sample.append(pre, button);
}

function showState(text, isGood) {
  byId("state").textContent = text;
  byId("state").dataset.good = String(isGood);
}

/** What the server is doing, for holders of a key: nothing without one. */
async function readOverview() {
  const key = keyField.value.trim();
  if (!/^[\x21-\x7e]+$/.test(key)) return {};
  const answer = await fetch("/overview", { headers: { authorization: `Key ${key}` } });
  return answer.ok ? answer.json() : {};
}

async function refresh() {
  try {
    const [ready, { running, waiting, devices }] = await Promise.all([fetch("/readyz"), readOverview()]);
    const { status } = await ready.json();
    showState(status, ready.ok);
    byId("running").textContent = running ?? "\u2013";
    byId("waiting").textContent = waiting ?? "\u2013";
    byId("devices").textContent = devices?.length === 0 ? "none" : (devices?.join(", ") ?? "\u2013");
  } catch {
    showState("not reachable", false);
  }
}

async function keepCurrent() {
  if (!document.hidden) await refresh();
  setTimeout(keepCurrent, 3000);
}

takeKeyFromAddress();
fillKey();
keyField.addEventListener("input", fillKey);
byId("shown").addEventListener("change", (event) => {
  keyField.type = event.target.checked ? "text" : "password";
  fillKey();
});
for (const tab of document.querySelectorAll("[role=tab]")) tab.addEventListener("click", () => select(tab));
document.querySelector("[role=tablist]").addEventListener("keydown", selectByArrow);
select(byId("tab-javascript"));
// Browsers let pages copy only over HTTPS and on this machine.
if (navigator.clipboard !== undefined) {
  for (const pre of document.querySelectorAll("pre")) addCopyButton(pre);
}
keyField.addEventListener("change", refresh);
addEventListener("hashchange", () => {
  takeKeyFromAddress();
  fillKey();
});
keepCurrent();
