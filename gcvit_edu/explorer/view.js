// -------------------------------------------------------------------------------- the parts of the page, reacting

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const FREE = "Point at a map to select a token; click or tap to hold it.";
const HELD = "The token is held; click it again to let it follow the pointer.";

/** A table of the selected row: the shares of the keys of one window, where they stand. */
function numbersOf(block, token, head) {
  const { index, at, query } = block.within(token), [firstRow, firstColumn] = block.tokenOf(index, 0);
  const shares = block.row(index, head, query), { top } = summary(block, index, shares);
  const table = make("table"), columns = make("tr");
  const asks = block.global ? `cell ${place(...at)} of the global query` : "the selected token";
  const caption = `What ${asks} asks of the selected token's window, in percent, rounded; they sum to 100.`;
  table.append(make("caption", caption), columns);
  columns.append(make("td"));
  for (let column = 0; column < block.window; column++) {
    columns.append(make("th", String(firstColumn + column + 1), { scope: "col" }));
  }
  for (let key = 0; key < block.tokens; key++) {
    if (key % block.window === 0) {
      const row = make("tr");
      row.append(make("th", String(firstRow + key / block.window + 1), { scope: "row" }));
      table.append(row);
    }
    const cell = make("td", "", key === top ? { class: "top" } : {}), real = block.tokenOf(index, key);
    const share = (100 * shares[key]).toFixed(block.tokens > 100 ? 2 : 1);
    cell.append(real ? make("data", share, { value: shares[key].toPrecision(6) }) : "–");
    table.lastChild.append(cell);
  }
  return table;
}

async function start(host) {
  const data = JSON.parse(host.querySelector("script").textContent);
  const blocks = data.blocks.map(readBlock), [height, width] = data.size;
  const root = host.attachShadow({ mode: "open" });
  root.innerHTML = `<style>${CSS}</style>${MARKUP}`;
  const find = (selector, within = root) => within.querySelector(selector);
  followMode(host);

  const photo = await pictureOf(data.photo);
  const state = { photo, faded: fade(photo), size: data.size, strength: 0.85, held: false };
  state.point = [height * 0.4, width * 0.45]; // in pixels, down and to the right

  // --- the parts of the page
  find(".explorer").setAttribute("aria-label", data.title);
  find(".title").textContent = data.title;
  const first = find(".side"), second = first.cloneNode(true);
  first.after(second);
  const sides = [first, second].map((element, number) => {
    const one = (selector) => find(selector, element);
    const side = { element, name: ["Left", "Right"][number], head: -1, block: null, canvas: one("canvas") };
    side.map = one(".map");
    side.sentence = one(".sentence");
    side.numbers = one("details");
    side.blockChoice = one(".block");
    side.headChoice = one(".head");
    one(".sentence").id = `sentence-${number}`;
    side.map.setAttribute("aria-describedby", `hint sentence-${number}`);
    one(".scroll").setAttribute("aria-label", `${side.name} map: numbers of the selected row`);
    one("summary").textContent = "Numbers of the selected row";
    blocks.forEach((block, i) => side.blockChoice.append(make("option", `Block ${block.name}`, { value: i })));
    return side;
  });
  const stages = [...new Set(blocks.map((block) => block.stage))];
  const radios = stages.map((stage) => {
    const label = make("label", String(stage + 1));
    const radio = make("input", "", { type: "radio", name: "stage", value: stage });
    const map = blocks.find((block) => block.stage === stage).map;
    label.append(make("small", by(map)), radio);
    find(".stages").append(label);
    radio.addEventListener("change", () => openPair(blocks.findIndex((block) => block.stage === stage)));
    return radio;
  });
  const shelves = stages.map((stage) => {
    const shelf = make("div"), thumbs = make("div", "", { class: "shelf" });
    shelf.append(make("p", `Stage ${stage + 1}`, { class: "quiet" }), thumbs);
    find(".thumbs").append(shelf);
    return thumbs;
  });
  const thumbs = blocks.map((block, i) => {
    const button = make("button", "", { type: "button", "data-kind": block.kind });
    const canvas = make("canvas", "", { width: 128, height: Math.round((128 * height) / width) });
    button.append(canvas, make("strong", `${block.stage + 1}.${block.block + 1}`), ` ${block.kind}`);
    button.setAttribute("aria-label", `Open block ${block.name}`);
    button.addEventListener("click", () => openPair(i));
    shelves[stages.indexOf(block.stage)].append(button);
    return button;
  });
  find(".answer").hidden = !data.answer.length;
  for (const [name, share] of data.answer) {
    const row = make("li", name), bar = make("i");
    row.append(make("span", percent(share)), bar);
    bar.append(make("b", "", { style: `width: ${100 * share}%` }));
    find(".answer ul").append(row);
  }
  find(".about").textContent = `The network saw this picture at ${by(data.size)} pixels. ${data.note} `;
  if (data.link) find(".about").append(make("a", "How to read this", { href: data.link }));

  // --- choosing
  /** Opens a block together with its neighbour of the other kind: local on the left, global on the right. */
  function openPair(i) {
    const same = (j, kind) => blocks[j]?.stage === blocks[i].stage && blocks[j].kind === kind;
    const other = blocks[i].global ? [i - 1, i + 1] : [i + 1, i - 1];
    const partner = other.find((j) => same(j, blocks[i].global ? "local" : "global")) ?? i;
    const pair = blocks[i].global ? [partner, i] : [i, partner];
    sides.forEach((side, number) => choose(side, pair[number]));
    show();
  }

  function choose(side, i) {
    const block = (side.block = blocks[i]);
    if (side.head >= block.choices) side.head = -1;
    side.element.dataset.kind = block.kind;
    side.blockChoice.value = i;
    const mean = block.heads === 1 ? "its only one" : `mean of ${block.heads}`;
    side.headChoice.replaceChildren(make("option", mean, { value: -1 }));
    for (let head = 0; head < block.choices; head++) {
      side.headChoice.append(make("option", `head ${head + 1}`, { value: head }));
    }
    side.headChoice.value = side.head;
    side.map.setAttribute("aria-label", `${side.name} map, block ${block.name}`);
  }

  // --- painting
  function show() {
    sides.forEach(showSide);
    const shown = sides.map((side) => side.block);
    radios.forEach((radio, i) => (radio.checked = shown.every((block) => block.stage === stages[i])));
    thumbs.forEach((button, i) => button.setAttribute("aria-pressed", String(shown.includes(blocks[i]))));
    find(".holding").textContent = state.held ? HELD : FREE;
  }

  function showSide(side) {
    const { block, head, element } = side, token = block.tokenAt(state.point);
    const { index, query } = block.within(token), asked = block.asked(token, head);
    const even = 1 / summary(block, index, block.row(index, head, query)).real;
    const values = Array(block.map[0] * block.map[1]).fill(null);
    let most = LEAST_SCALE / block.tokens;
    for (const { window, shares } of asked) {
      shares.forEach((share, key) => {
        const real = block.tokenOf(window, key);
        if (!real) return;
        values[real[0] * block.map[1] + real[1]] = share;
        most = Math.max(most, share);
      });
    }
    paint(side.canvas, state, block, values, most, token);
    const [strong, rest] = describe(block, token, head);
    if (side.sentence.textContent !== strong + rest) side.sentence.replaceChildren(make("strong", strong), rest);
    const whom = block.windows === 1 ? "the whole map" : block.global ? "every window" : "its own window";
    find(".heading", element).textContent = `${block.global ? "The global query" : "A token"} asks ${whom}`;
    find(".apart", element).hidden = !block.global || block.windows === 1;
    find(".equal", element).style.left = `${(100 * even) / most}%`;
    find(".even", element).textContent = `│ equal shares: ${percent(even)}`;
    find(".most", element).textContent = percent(most);
    if (side.numbers.open) find(".scroll", element).replaceChildren(numbersOf(block, token, head));
  }

  // --- reacting
  let waiting = false;
  function select(point, held = state.held) {
    Object.assign(state, { point, held });
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      show();
    });
  }

  for (const side of sides) {
    const pointed = (event) => {
      const box = side.canvas.getBoundingClientRect();
      return [((event.clientY - box.top) / box.height) * height, ((event.clientX - box.left) / box.width) * width];
    };
    const same = (point) => String(side.block.tokenAt(point)) === String(side.block.tokenAt(state.point));
    side.map.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || !state.held) select(pointed(event));
    });
    side.map.addEventListener("click", (event) => {
      const point = pointed(event);
      select(point, !(state.held && same(point)));
    });
    side.map.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // a page may turn on arrow keys
      const step = event.shiftKey ? side.block.window : 1, token = side.block.tokenAt(state.point);
      const moved = token.map((at, axis) => Math.max(0, Math.min(side.block.map[axis] - 1, at + step * arrow[axis])));
      select(moved.map((at) => (at + 0.5) * side.block.stride), true);
    });
    side.blockChoice.addEventListener("change", () => {
      choose(side, Number(side.blockChoice.value));
      show();
    });
    side.headChoice.addEventListener("change", () => {
      side.head = Number(side.headChoice.value);
      show();
    });
    side.numbers.addEventListener("toggle", show);
  }
  find(".strength input").addEventListener("input", (event) => {
    state.strength = event.target.value / 100;
    show();
  });
  new ResizeObserver(() => select(state.point)).observe(find(".sides"));

  openPair(0);
  thumbs.forEach((button, i) => paintThumb(find("canvas", button), state, blocks[i]));
}

for (const host of hosts("gcvit-explorer")) start(host);
