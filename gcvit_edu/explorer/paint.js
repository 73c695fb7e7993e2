// ------------------------------------------------------------------------------------------- painting

const RAMPS = {
  local: [[255, 255, 255], [86, 180, 233], [0, 114, 178], [0, 48, 77]],
  global: [[255, 255, 255], [230, 159, 0], [213, 94, 0], [92, 41, 0]],
};
const LEAST_SCALE = 4; // a scale reaches at least this many equal shares, so that even attention looks pale

/** The colour of a value from 0 to 1 of a kind's ramp, with its opacity: small values leave the picture visible. */
function colour(kind, value) {
  const at = Math.min(value, 0.999) * 3, from = Math.floor(at), part = at - from;
  const mixed = RAMPS[kind][from].map((start, i) => start + (RAMPS[kind][from + 1][i] - start) * part);
  return [...mixed, 255 * Math.sqrt(value)];
}

/** Values of a map, null where nothing is painted, as a small picture with one pixel for each token. */
function heat(kind, [height, width], values, most) {
  const small = Object.assign(document.createElement("canvas"), { width, height });
  const image = new ImageData(width, height);
  values.forEach((value, i) => value === null || image.data.set(colour(kind, value / most), 4 * i));
  small.getContext("2d").putImageData(image, 0, 0);
  return small;
}

/** A grey and light version of a picture, on which colours can be read. */
function fade(photo) {
  const faded = Object.assign(document.createElement("canvas"), { width: photo.width, height: photo.height });
  const pen = faded.getContext("2d");
  pen.drawImage(photo, 0, 0);
  const image = pen.getImageData(0, 0, faded.width, faded.height), data = image.data;
  for (let i = 0; i < data.length; i += 4) {
    const grey = 127.5 + (0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]) / 2;
    data.fill(grey, i, i + 3);
  }
  pen.putImageData(image, 0, 0);
  return faded;
}

/** A map over the picture: {photo, faded, size, strength}, a block, its values and their scale, the selected token. */
function paint(canvas, scene, block, values, most, token) {
  const [height, width] = scene.size;
  const scale = Math.min(2, devicePixelRatio || 1);
  canvas.width = Math.round((canvas.clientWidth || 320) * scale);
  canvas.height = Math.round((canvas.width * height) / width);
  const pen = canvas.getContext("2d"), unit = canvas.width / width, step = block.stride * unit;
  const frame = (row, column, rows, columns, strokes, dash = []) => {
    for (const [style, thick] of strokes) {
      Object.assign(pen, { strokeStyle: style, lineWidth: thick * scale });
      pen.setLineDash(dash.map((length) => length * scale));
      const left = Math.max(column * step, scale), top = Math.max(row * step, scale);
      const right = Math.min((column + columns) * step, canvas.width - scale);
      const bottom = Math.min((row + rows) * step, canvas.height - scale);
      pen.strokeRect(left, top, right - left, bottom - top);
    }
  };
  pen.drawImage(scene.photo, 0, 0, canvas.width, canvas.height);
  pen.globalAlpha = Math.min(1, scene.strength * 1.15);
  pen.drawImage(scene.faded, 0, 0, canvas.width, canvas.height);
  pen.globalAlpha = scene.strength;
  pen.imageSmoothingEnabled = false;
  pen.drawImage(heat(block.kind, block.map, values, most), 0, 0, block.map[1] * step, block.map[0] * step);
  pen.globalAlpha = 1;
  const side = block.window, { window, at } = block.within(token);
  for (let row = 0; row < block.grid[0]; row++) {
    for (let column = 0; column < block.grid[1]; column++) {
      frame(row * side, column * side, side, side, [["rgb(255 255 255 / 75%)", 1.5]]);
    }
  }
  if (block.global) {
    // The part of the picture that the query's cell stands for, as cells of the whole picture.
    const cells = [height / block.stride / side, width / block.stride / side];
    frame(at[0] * cells[0], at[1] * cells[1], ...cells, [["#fff", 4], ["#a84a00", 2]], [5, 4]);
  } else if (block.windows > 1) {
    frame(window[0] * side, window[1] * side, side, side, [["#fff", 5], ["#0072b2", 2.5]]);
  }
  frame(...token, 1, 1, [["#111", 5], ["#fff", 2]]);
}

/** The mean map of a block, small. */
function paintThumb(canvas, scene, block) {
  const pen = canvas.getContext("2d"), step = (block.stride * canvas.width) / scene.size[1];
  pen.drawImage(scene.faded, 0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = false;
  pen.globalAlpha = 0.85;
  pen.drawImage(heat(block.kind, block.map, [...block.seen], 255), 0, 0, block.map[1] * step, block.map[0] * step);
}
