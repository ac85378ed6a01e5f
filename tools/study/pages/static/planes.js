// What every viewer of volumes needs: the three planes upright, windows, and a canvas in the body's proportions. Readers'
// studies show one plane of two volumes by it, the gallery three planes of one.
"use strict";

const planes = (() => {
  const PLANES = ["axial", "coronal", "sagittal"];
  const PRESETS = { lung: [1500, -600], mediastinum: [400, 40], abdomen: [350, 50], bone: [1800, 400], brain: [80, 40] };

  // [height, width, place of a pixel] of a slice of a volume [depth, rows, columns] from feet to head, front to back and
  // right to left: head or front at the top, as the patient is looked at
  function section(plane, index, [depth, rows, columns]) {
    if (plane === "axial") return [rows, columns, (y, x) => (index * rows + y) * columns + x];
    if (plane === "coronal") return [depth, columns, (y, x) => ((depth - 1 - y) * rows + index) * columns + x];
    return [depth, rows, (y, x) => ((depth - 1 - y) * rows + x) * columns + index];
  }

  // height and width in mm of a pixel
  function pixel(plane, [dz, dy, dx]) {
    return plane === "axial" ? [dy, dx] : plane === "coronal" ? [dz, dx] : [dz, dy];
  }

  // grey of each of a display's steps in a window
  function greys(display, width, level) {
    const table = new Uint8ClampedArray(display.levels + 1);
    const step = (display.high - display.low) / display.levels;
    for (let i = 0; i <= display.levels; i++) {
      table[i] = Math.round((((display.low + i * step - level) / Math.max(width, step)) + 0.5) * 255);
    }
    return table;
  }

  // voxels are not always squares: an element as tall and wide as the body, within its frame
  function fit(element, frame, height, width) {
    const scale = Math.min((frame.clientHeight - 8) / height, (frame.clientWidth - 8) / width);
    element.style.flex = "none";
    element.style.margin = "auto";
    element.style.width = `${Math.max(1, width * scale)}px`;
    element.style.height = `${Math.max(1, height * scale)}px`;
  }

  return { PLANES, PRESETS, section, pixel, greys, fit };
})();
