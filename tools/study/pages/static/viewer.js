// Whole volumes in three planes: both images of a pair show the same plane, slice and window.
"use strict";

const viewer = (() => {
  const { texts, display } = JSON.parse(document.getElementById("content").textContent);
  const { PLANES, PRESETS } = planes;
  const FULL = [display.high - display.low, (display.high + display.low) / 2];
  const STEP_PX = 6; // of a finger's drag, for a slice
  const SCROLL_PX = 30; // of a touchpad, for a slice; a wheel's notch, which is more, is one slice
  const at = (id) => document.getElementById(id);
  const shape = display.shape || [1, 1, 1];
  const [depth, rows, columns] = shape;
  const count = { axial: depth, coronal: rows, sagittal: columns };

  let volumes = [];
  let canvases = [];
  let plane = "axial";
  let slices = {};
  let width = FULL[0];
  let level = FULL[1];
  let wanted = false;

  function draw() {
    wanted = false;
    const table = planes.greys(display, width, level);
    canvases.forEach((canvas, i) => {
      const [h, w, place] = planes.section(plane, slices[plane], shape);
      canvas.width = w;
      canvas.height = h;
      const context = canvas.getContext("2d");
      const picture = context.createImageData(w, h);
      const volume = volumes[i];
      for (let y = 0, at = 0; y < h; y++) {
        for (let x = 0; x < w; x++, at += 4) {
          const grey = table[volume[place(y, x)]];
          picture.data[at] = picture.data[at + 1] = picture.data[at + 2] = grey;
          picture.data[at + 3] = 255;
        }
      }
      context.putImageData(picture, 0, 0);
      const [my, mx] = planes.pixel(plane, display.spacing);
      planes.fit(canvas, canvas.parentElement, h * my, w * mx);
      canvas.style.objectFit = "fill";
    });
    at("slice").max = count[plane] - 1;
    at("slice").value = slices[plane];
    at("slice-number").textContent = `${slices[plane] + 1}/${count[plane]}`;
    at("width-level").textContent = display.hounsfield
      ? texts.width_level.replace("{width}", Math.round(width)).replace("{level}", Math.round(level))
      : "";
    mark();
  }

  function mark() {
    for (const one of at("planes").children) one.setAttribute("aria-pressed", String(one.dataset.plane === plane));
    for (const one of at("presets").children) {
      const [w, l] = one.dataset.preset === "full" ? FULL : PRESETS[one.dataset.preset];
      one.setAttribute("aria-pressed", String(w === width && l === level));
    }
  }

  function redraw() {
    if (!wanted && canvases.length) requestAnimationFrame(draw);
    wanted = true;
  }

  function move(by) {
    slices[plane] = Math.min(count[plane] - 1, Math.max(0, slices[plane] + by));
    redraw();
  }

  function turn(to) {
    plane = to;
    redraw();
  }

  function preset(name) {
    [width, level] = name === "full" ? FULL : PRESETS[name];
    redraw();
  }

  // by shares of the whole range
  function adjust(wider, higher) {
    width = Math.min(FULL[0] * 1.5, Math.max(FULL[0] / 200, width + wider * FULL[0]));
    level = Math.min(display.high, Math.max(display.low, level + higher * FULL[0]));
    redraw();
  }

  // a drag changes the window (mouse) or the slice (finger); a click without a drag chooses
  function listen(canvas, clicked) {
    let last = null;
    let moved = 0;
    let still = 0; // how far a click or a tap may stray
    let rest = 0;
    let scrolled = 0;
    canvas.addEventListener("pointerdown", (event) => {
      last = [event.clientX, event.clientY];
      moved = rest = 0;
      still = event.pointerType === "touch" ? 10 : 4;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
      last = [event.clientX, event.clientY];
      moved += Math.abs(dx) + Math.abs(dy);
      if (moved < still) return;
      if (event.pointerType === "touch") {
        rest += dy;
        move(Math.trunc(rest / STEP_PX));
        rest %= STEP_PX;
      } else {
        adjust(dx / 500, dy / 500);
      }
    });
    canvas.addEventListener("pointerup", () => {
      if (last && moved < still) clicked();
      last = null;
    });
    canvas.addEventListener("pointercancel", () => (last = null));
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const by = event.deltaMode ? event.deltaY * SCROLL_PX : event.deltaY;
        scrolled += Math.max(-SCROLL_PX, Math.min(SCROLL_PX, by));
        move(-Math.trunc(scrolled / SCROLL_PX));
        scrolled %= SCROLL_PX;
      },
      { passive: false },
    );
  }

  function open(stacks, places, first, position, clicked) {
    volumes = stacks.map((stack) => (display.levels > 255 ? new Uint16Array(stack) : new Uint8Array(stack)));
    resized.disconnect();
    canvases = places.map((place, i) => {
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", place.getAttribute("aria-label"));
      place.replaceChildren(canvas);
      listen(canvas, () => clicked(i));
      resized.observe(place);
      return canvas;
    });
    plane = first;
    slices = Object.fromEntries(PLANES.map((name) => [name, Math.round(position * (count[name] - 1))]));
    draw();
  }

  function press(key) {
    const found = { a: "axial", c: "coronal", s: "sagittal" }[key.toLowerCase()];
    if (found) turn(found);
    else if (key === "w" || key === "W") adjust(key === "w" ? 0.05 : -0.05, 0);
    else if (key === "l" || key === "L") adjust(0, key === "l" ? 0.05 : -0.05);
    else if (key === "PageUp" || key === "ArrowUp") move(1);
    else if (key === "PageDown" || key === "ArrowDown") move(-1);
    else return false;
    return true;
  }

  function button(text, action, data) {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    Object.assign(made.dataset, data);
    made.addEventListener("click", action);
    return made;
  }

  at("planes").append(...PLANES.map((name) => button(texts[name], () => turn(name), { plane: name })));
  const usual = display.hounsfield ? Object.keys(PRESETS) : [];
  const presets = ["full", ...usual];
  at("presets").append(...presets.map((name) => button(texts[`window_${name}`], () => preset(name), { preset: name })));
  at("slice").addEventListener("input", () => move(Number(at("slice").value) - slices[plane]));
  const resized = new ResizeObserver(redraw);
  return { open, press };
})();
