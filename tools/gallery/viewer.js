// A sample in three planes at once, with one crosshair in all of them and labels over it.
"use strict";

(() => {
  const { channels, labels, reduced } = JSON.parse(document.getElementById("content").textContent);
  const at = (id) => document.getElementById(id);
  const [depth, rows, columns] = channels[0].shape;
  const SCROLL_PX = 30; // of a touchpad, for a slice; a wheel's notch, which is more, is one slice
  const SIDES = { axial: "RLAP", coronal: "RLHF", sagittal: "APHF" }; // left, right, top, bottom
  const AXIS = { axial: 0, coronal: 1, sagittal: 2 };
  const PLANES = planes.PLANES.slice(0, depth > 1 ? 3 : 1);
  const point = [depth >> 1, rows >> 1, columns >> 1];
  const hidden = new Set();
  const views = {};
  let channel = 0;
  let plane = "axial";
  let voxels = [];
  let classes = null;
  let wanted = false;
  for (const one of channels) one.window = [one.high - one.low, (one.high + one.low) / 2];

  async function unpacked(text, levels) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const buffer = await new Response(stream).arrayBuffer();
    return levels > 255 ? new Uint16Array(buffer) : new Uint8Array(buffer);
  }

  // where the crosshair is in a plane's picture, and back
  function place(name) {
    const [z, y, x] = point;
    return name === "axial" ? [x, y] : name === "coronal" ? [x, depth - 1 - z] : [y, depth - 1 - z];
  }
  function put(name, x, y) {
    if (name === "axial") [point[2], point[1]] = [x, y];
    else [point[name === "coronal" ? 2 : 1], point[0]] = [x, depth - 1 - y];
    redraw();
  }

  const index = ([z, y, x]) => (z * rows + y) * columns + x;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  function draw() {
    wanted = false;
    const shown = channels[channel];
    const greys = planes.greys(shown, ...shown.window);
    const share = at("shown").checked ? Number(at("opacity").value) : 0;
    const colours = [];
    for (const one of labels ? labels.classes : []) if (!hidden.has(one.value)) colours[one.value] = one.colour;
    for (const name of PLANES) {
      const { canvas, picture, frame, lines } = views[name];
      const [h, w, voxel] = planes.section(name, point[AXIS[name]], shown.shape);
      canvas.width = w;
      canvas.height = h;
      const context = canvas.getContext("2d");
      const pixels = context.createImageData(w, h);
      for (let y = 0, i = 0; y < h; y++) {
        for (let x = 0; x < w; x++, i += 4) {
          const here = voxel(y, x);
          const grey = greys[voxels[channel][here]];
          const colour = classes && share ? colours[classes[here]] : undefined;
          for (let k = 0; k < 3; k++) pixels.data[i + k] = colour ? grey + share * (colour[k] - grey) : grey;
          pixels.data[i + 3] = 255;
        }
      }
      context.putImageData(pixels, 0, 0);
      const [my, mx] = planes.pixel(name, shown.spacing);
      planes.fit(picture, frame, h * my, w * mx);
      const [x, y] = place(name);
      lines[0].style.left = `${((x + 0.5) / w) * 100}%`;
      lines[1].style.top = `${((y + 0.5) / h) * 100}%`;
      for (const line of lines) line.hidden = !at("cross").checked;
      frame.classList.toggle("active", name === plane);
      const count = [depth, rows, columns][AXIS[name]];
      views[name].name.textContent = `${name} ${point[AXIS[name]] + 1}/${count}`;
    }
    read();
  }

  function read() {
    const shown = channels[channel];
    const value = shown.low + (voxels[channel][index(point)] * (shown.high - shown.low)) / shown.levels;
    const digits = (v) => (shown.hounsfield ? Math.round(v) : Number(v.toPrecision(4)));
    const number = `${digits(value)}${shown.hounsfield ? " HU" : ""}`;
    const found = classes && labels.classes.find((one) => one.value === classes[index(point)]);
    const mm = point.map((n, axis) => ((n + 0.5) * shown.spacing[axis]).toFixed(1));
    const [width, level] = shown.window;
    const size = Math.max(...reduced) > 1 ? ` Shown coarser: one voxel stands for ${reduced.join(" x ")}.` : "";
    at("readout").textContent =
      `${shown.name}: ${number}${classes ? `, ${found ? found.name : "no label"}` : ""}; slice, row and column ` +
      `${point.map((n) => n + 1).join(", ")} (${mm.join(", ")} mm). Window ${digits(width)}, level ${digits(level)}.${size}`;
    at("width").value = width / (1.5 * (shown.high - shown.low));
    at("level").value = (level - shown.low) / (shown.high - shown.low);
    [...at("channels").children].forEach((one, n) => one.setAttribute("aria-pressed", String(n === channel)));
    for (const one of at("presets").children) {
      const [w, l] = presetOf(one.dataset.preset);
      one.setAttribute("aria-pressed", String(w === width && l === level));
    }
  }

  function redraw() {
    if (!wanted && voxels.length) requestAnimationFrame(draw);
    wanted = true;
  }

  function scroll(name, by) {
    const axis = AXIS[name];
    point[axis] = clamp(point[axis] + by, 0, [depth, rows, columns][axis] - 1);
    redraw();
  }

  // by shares of the whole range
  function adjust(wider, higher) {
    const shown = channels[channel];
    const range = shown.high - shown.low;
    const [width, level] = shown.window;
    shown.window = [clamp(width + wider * range, range / 200, 1.5 * range), clamp(level + higher * range, shown.low, shown.high)];
    redraw();
  }

  function presetOf(name) {
    const shown = channels[channel];
    return name === "full" ? [shown.high - shown.low, (shown.high + shown.low) / 2] : planes.PRESETS[name];
  }

  function choose(number) {
    channel = number;
    const names = ["full", ...(channels[channel].hounsfield ? Object.keys(planes.PRESETS) : [])];
    at("presets").replaceChildren(
      ...names.map((name) => {
        const made = button(name === "full" ? "whole range" : name, () => {
          channels[channel].window = [...presetOf(name)];
          redraw();
        });
        made.dataset.preset = name;
        return made;
      }),
    );
    redraw();
  }

  function button(text, action) {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    made.addEventListener("click", action);
    return made;
  }

  function make(tag, className, parent, text = "") {
    const made = Object.assign(document.createElement(tag), { className, textContent: text });
    parent.append(made);
    return made;
  }

  function view(name) {
    const frame = make("div", "frame", at("views"));
    frame.id = name;
    const picture = make("div", "picture", frame);
    const canvas = make("canvas", "", picture);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name} plane`);
    const lines = ["line x", "line y"].map((one) => make("div", one, picture));
    const title = make("span", "corner name", frame);
    ["west", "east", "north", "south"].forEach((side, n) => make("span", `corner ${side}`, frame, SIDES[name][n]));
    let last = null;
    let scrolled = 0;
    function follow(event) {
      const box = canvas.getBoundingClientRect();
      const x = Math.floor(((event.clientX - box.left) / box.width) * canvas.width);
      const y = Math.floor(((event.clientY - box.top) / box.height) * canvas.height);
      put(name, clamp(x, 0, canvas.width - 1), clamp(y, 0, canvas.height - 1));
    }
    picture.addEventListener("pointerdown", (event) => {
      plane = name;
      last = { x: event.clientX, y: event.clientY, windowing: event.button === 2 || event.shiftKey };
      picture.setPointerCapture(event.pointerId);
      if (!last.windowing) follow(event);
    });
    picture.addEventListener("pointermove", (event) => {
      if (!last) return;
      if (last.windowing) adjust((event.clientX - last.x) / 500, (event.clientY - last.y) / 500);
      else follow(event);
      [last.x, last.y] = [event.clientX, event.clientY];
    });
    for (const end of ["pointerup", "pointercancel"]) picture.addEventListener(end, () => (last = null));
    picture.addEventListener("contextmenu", (event) => event.preventDefault());
    frame.addEventListener("pointerenter", () => {
      plane = name;
      redraw();
    });
    frame.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const by = event.deltaMode ? event.deltaY * SCROLL_PX : event.deltaY;
        scrolled += clamp(by, -SCROLL_PX, SCROLL_PX);
        scroll(name, -Math.trunc(scrolled / SCROLL_PX));
        scrolled %= SCROLL_PX;
      },
      { passive: false },
    );
    return { frame, picture, canvas, lines, name: title };
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.type === "range") return;
    const chosen = { a: "axial", c: "coronal", s: "sagittal" }[event.key.toLowerCase()];
    if (PLANES.includes(chosen)) plane = chosen;
    else if (event.key === "ArrowUp" || event.key === "PageUp") scroll(plane, 1);
    else if (event.key === "ArrowDown" || event.key === "PageDown") scroll(plane, -1);
    else if (event.key === "w" || event.key === "W") adjust(event.key === "w" ? 0.05 : -0.05, 0);
    else if (event.key === "l" || event.key === "L") adjust(0, event.key === "l" ? 0.05 : -0.05);
    else if (event.key === "o" && labels) at("shown").checked = !at("shown").checked;
    else if (event.key === "x") at("cross").checked = !at("cross").checked;
    else return;
    event.preventDefault();
    redraw();
  }

  async function open() {
    for (const name of PLANES) views[name] = view(name);
    at("channels").hidden = channels.length < 2;
    if (channels.length > 1) at("channels").append(...channels.map((one, n) => button(one.name, () => choose(n))));
    for (const one of labels ? labels.classes : []) {
      const line = make("label", "", at("classes"));
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      box.dataset.value = one.value;
      line.append(box);
      make("i", "", line).style.background = `rgb(${one.colour})`;
      line.append(one.name);
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(one.value);
        else hidden.add(one.value);
        redraw();
      });
    }
    at("labels").hidden = !labels;
    for (const id of ["shown", "opacity", "cross"]) at(id).addEventListener("input", redraw);
    const shown = () => channels[channel];
    at("width").addEventListener("input", () => {
      shown().window[0] = Math.max(Number(at("width").value) * 1.5, 0.005) * (shown().high - shown().low);
      redraw();
    });
    at("level").addEventListener("input", () => {
      shown().window[1] = shown().low + Number(at("level").value) * (shown().high - shown().low);
      redraw();
    });
    document.addEventListener("keydown", press);
    new ResizeObserver(redraw).observe(at("views"));
    voxels = await Promise.all(channels.map((one) => unpacked(one.data, one.levels)));
    classes = labels && (await unpacked(labels.data, 255));
    choose(0);
    draw();
    document.body.dataset.ready = "true";
  }

  open().catch((error) => {
    at("readout").textContent = `This browser cannot show the volume: ${error.message}`;
  });
})();
