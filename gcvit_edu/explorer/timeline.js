// ------------------------------------------------------------------------------- maps that a slider takes through time

const SHARP = 256; // pixels on a side of a painted map

/** Where a map is largest, in words. */
function strongest([height, width], values, times) {
  const at = values.indexOf(Math.max(...values)), most = ((times * values[at]) / 255).toFixed(1);
  const where = `row ${Math.floor(at / width) + 1} of ${height}, column ${(at % width) + 1}`;
  return `most in ${where}: ${most} times an equal share${values[at] === 255 ? " or more" : ""}`;
}

function paintMap(canvas, faded, column, values) {
  canvas.width = canvas.height = SHARP;
  const pen = canvas.getContext("2d");
  pen.drawImage(faded, 0, 0, SHARP, SHARP);
  pen.imageSmoothingEnabled = false;
  pen.globalAlpha = 0.85;
  pen.drawImage(heat(column.kind, column.map, values, 255), 0, 0, SHARP, SHARP);
}

async function start(host) {
  const data = JSON.parse(host.querySelector("script").textContent);
  const root = host.attachShadow({ mode: "open" });
  root.innerHTML = `<style>${CSS}</style>${MARKUP}`;
  const find = (selector) => root.querySelector(selector);
  followMode(host);
  find(".timeline").setAttribute("aria-label", data.title);
  find(".title").textContent = data.title;
  for (const column of data.columns) {
    column.bytes = bytesOf(column.rows);
    const head = make("th", column.title, { scope: "col", "data-kind": column.kind });
    head.append(make("small", `0 to ${column.times}×`));
    find("thead tr").append(head);
  }
  const cells = [];
  for (const [number, picture] of data.pictures.entries()) {
    const row = make("tr"), name = make("th", "", { scope: "row" });
    name.append(make("img", "", { src: picture.photo, alt: picture.name }));
    row.append(name);
    const faded = fade(await pictureOf(picture.photo));
    for (const column of data.columns) {
      const canvas = make("canvas", "", { role: "img" }), cell = make("td");
      cell.append(canvas);
      row.append(cell);
      cells.push({ canvas, faded, column, number, name: picture.name });
    }
    find("tbody").append(row);
  }
  const slider = find("input");
  slider.max = data.moments.length - 1;
  slider.value = data.start;

  function show() {
    const moment = Number(slider.value);
    find(".moment").textContent = data.moments[moment];
    slider.setAttribute("aria-valuetext", data.moments[moment]);
    find(".sentence").textContent = data.notes[moment] ?? "";
    for (const { canvas, faded, column, number, name } of cells) {
      const size = column.map[0] * column.map[1], from = (moment * data.pictures.length + number) * size;
      const values = [...column.bytes.subarray(from, from + size)];
      paintMap(canvas, faded, column, values);
      canvas.setAttribute("aria-label", `${name}, ${column.title}: ${strongest(column.map, values, column.times)}`);
    }
  }
  slider.addEventListener("input", show);
  show();
}

for (const host of hosts("gcvit-timeline")) start(host);
