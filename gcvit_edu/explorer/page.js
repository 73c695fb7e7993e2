// ------------------------------------------------------------------------- what every widget needs of the page

function make(tag, text = "", attributes = {}) {
  const element = Object.assign(document.createElement(tag), { textContent: text });
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function bytesOf(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** "dark" or "light", as the book, JupyterLab, Colab or VS Code say, or else the reader's system. */
function mode() {
  const root = document.documentElement, body = document.body.dataset;
  const said = root.dataset.theme ?? root.getAttribute("theme") ?? body.vscodeThemeKind;
  if (said) return /dark/.test(said) ? "dark" : "light";
  if (body.jpThemeLight) return body.jpThemeLight === "false" ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Keeps data-mode of a widget at the page's. */
function followMode(host) {
  const follow = () => (host.dataset.mode = mode());
  follow();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
  for (const element of [document.documentElement, document.body]) {
    const attributeFilter = ["data-theme", "theme", "data-jp-theme-light", "data-vscode-theme-kind"];
    new MutationObserver(follow).observe(element, { attributeFilter });
  }
}

async function pictureOf(address) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  return picture;
}

/** The widgets of this script that do not live yet. */
function hosts(name) {
  const all = [...document.querySelectorAll(`.${name}[data-build="${BUILD}"]`)];
  return all.filter((host) => !host.shadowRoot);
}
