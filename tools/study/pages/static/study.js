// A reader's sitting. What proves that it goes on is kept in this page's memory only: leaving the page ends the sitting.
"use strict";

const { texts, display, volumes, urls } = JSON.parse(document.getElementById("content").textContent);
const at = (id) => document.getElementById(id);
const SURVEY = ["real", "synthetic", "cannot tell"];
const RETRY_MS = 2000;

let page = null; // key of this sitting
let asked = null; // the question that is shown
let chosen = null;
let difficulty = null;
let since = 0; // when the images were there
let sending = false;
let lastSection = null;
let sectionsSeen = 0;
const sections = document.querySelectorAll("#welcome strong").length || 1;

// A paste that the field cuts off, or a keyboard's mistake, can leave half a character, which is no text.
const wellFormed = (text) => text.replace(/\p{Surrogate}/gu, "\ufffd");

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

function show(id) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
  window.scrollTo(0, 0);
}

function ended(id) {
  page = null;
  show(id);
}

// Sends until there is an answer: without a connection nothing is lost.
async function post(url, content) {
  for (;;) {
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ ...content, page }),
      });
      // what is not the server's own word comes from a proxy on the way
      const own = (response.headers.get("Content-Type") || "").startsWith("application/json");
      if (own && response.status < 500) {
        const found = await response.json();
        at("status").textContent = "";
        return found;
      }
    } catch {
      // no connection, or it broke off
    }
    at("status").textContent = texts.retrying;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

function refused(code) {
  ended({ closed: "closed", abandoned: "abandoned", left: "abandoned", finished: "finished" }[code] || "failed");
}

async function start() {
  at("start").disabled = at("end").disabled = true;
  const random = crypto.getRandomValues(new Uint8Array(32));
  page = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const found = await post(urls.start, {});
  if (found.error) return refused(found.error);
  await ask();
}

async function ask() {
  const found = await post(urls.question, {});
  if (found.error) return refused(found.error);
  if (found.done) return ended("finished");
  asked = found;
  if (asked.section !== lastSection) {
    lastSection = asked.section;
    sectionsSeen += 1;
    if (sections > 1) return interlude();
  }
  await present();
}

function interlude() {
  at("interlude-place").textContent = filled(texts.section, { number: sectionsSeen, total: sections });
  at("interlude-title").textContent = texts[`ask_${asked.section}`];
  at("interlude-text").textContent = filled(texts[`about_${asked.section}`], { count: asked.section_total });
  show("interlude");
  at("go").focus();
}

function button(text, small, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-pressed", "false");
  if (small) made.append(Object.assign(document.createElement("small"), { textContent: small }));
  made.addEventListener("click", action);
  return made;
}

async function present() {
  const pair = asked.images.length === 2;
  const question = asked;
  chosen = difficulty = null;
  sending = false;
  document.body.className = [pair ? "pair" : "survey", volumes ? "scrolling" : ""].join(" ");
  at("ask").textContent = at("choices-legend").textContent = texts[`ask_${asked.section}`];
  at("progress").textContent = filled(texts.progress, { number: asked.number, total: asked.total });
  at("bar").value = (asked.number - 1) / asked.total;
  at("keys").textContent = texts[`keys_${asked.section}`] + (volumes ? " " + texts.keys_volumes : "");
  const names = pair ? [1, 2].map((number) => filled(texts.image, { number })) : SURVEY.map((name) => texts[name]);
  at("choices").replaceChildren(at("choices-legend"), ...names.map((name, i) => button(name, "", () => choose(i))));
  at("difficulty").hidden = asked.section !== "origin";
  const words = [1, 2, 3, 4, 5].map((n) => button(n, texts[`difficulty_${n}`], () => rate(n)));
  at("difficulties").replaceChildren(...words);
  at("why").hidden = pair;
  at("reason").value = "";
  at("images").replaceChildren();
  update();
  show("reading");
  if (document.activeElement && document.activeElement !== document.body) document.activeElement.blur();
  at("status").textContent = texts.loading;
  const places = asked.images.map((_, i) => frame(pair ? names[i] : texts.scan, pair ? i : null));
  at("images").replaceChildren(...places);
  for (let ready = false; !ready && question === asked && page; ) {
    try {
      await (volumes ? viewVolumes(question, places) : viewPictures(question, places));
      ready = true;
    } catch {
      at("status").textContent = texts.retrying;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
  at("status").textContent = "";
  since = performance.now();
  update();
}

function frame(label, choice) {
  const made = document.createElement("figure");
  made.className = "image";
  made.setAttribute("aria-label", label);
  if (choice !== null && !volumes) made.addEventListener("click", () => choose(choice));
  return made;
}

// All images of a question appear at once.
async function viewPictures(question, places) {
  const pictures = await Promise.all(
    question.images.map(async (url, i) => {
      const picture = new Image();
      picture.alt = places[i].getAttribute("aria-label");
      picture.draggable = false;
      picture.src = url;
      await picture.decode();
      return picture;
    }),
  );
  pictures.forEach((picture, i) => places[i].replaceChildren(picture));
}

async function viewVolumes(question, places) {
  const stacks = await Promise.all(
    question.images.map(async (url) => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(response.statusText);
      return response.arrayBuffer();
    }),
  );
  viewer.open(stacks, places, question.plane, question.position, (i) => places.length === 2 && choose(i));
}

function choose(i) {
  if (!since || sending) return;
  chosen = i;
  update();
}

function rate(n) {
  if (!since || sending) return;
  difficulty = n;
  update();
}

function update() {
  const press = (elements, one) =>
    elements.forEach((element, i) => element.setAttribute("aria-pressed", String(i === one)));
  press(at("choices").querySelectorAll("button"), chosen);
  press(at("difficulties").querySelectorAll("button"), difficulty === null ? null : difficulty - 1);
  document.querySelectorAll(".image").forEach((image, i) => image.classList.toggle("chosen", i === chosen));
  at("next").disabled = !complete();
}

function complete() {
  return Boolean(since) && !sending && chosen !== null && (asked.section !== "origin" || difficulty !== null);
}

async function next() {
  if (!complete()) return;
  const survey = asked.section === "survey";
  const content = {
    number: asked.number,
    choice: survey ? SURVEY[chosen] : chosen,
    difficulty,
    reason: survey ? wellFormed(at("reason").value) : "",
    ms: Math.round(performance.now() - since),
  };
  const shown = since;
  sending = true;
  since = 0;
  update();
  at("status").textContent = texts.saving;
  const found = await post(urls.answer, content);
  if (found.error === "invalid") return again(shown);
  if (found.error) return refused(found.error);
  await ask();
}

// The server could not take an answer as it was: the question stays, and its time goes on.
function again(shown) {
  sending = false;
  since = shown;
  chosen = difficulty = null;
  update();
  at("status").textContent = texts.unkept;
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (!at("interlude").hidden || at("reading").hidden) return;
  const typing = event.target === at("reason");
  if (event.key === "Enter" && !(typing && event.shiftKey)) {
    const other = event.target.tagName === "BUTTON" && event.target !== at("next");
    if (other && !complete()) return; // the button is pressed
    event.preventDefault();
    if (!event.repeat) next();
    return;
  }
  if (typing) return;
  const digit = /^[1-5]$/.test(event.key) ? Number(event.key) : 0;
  const pair = asked.images.length === 2;
  const rating = asked.section === "origin" && chosen !== null;
  if (pair && (event.key === "ArrowLeft" || event.key === "ArrowRight") && event.target.type !== "range") {
    choose(event.key === "ArrowLeft" ? 0 : 1);
  } else if (digit && rating) {
    rate(digit);
  } else if (digit && digit <= (pair ? 2 : 3)) {
    choose(digit - 1);
  } else if (!(volumes && viewer.press(event.key))) {
    return;
  }
  event.preventDefault();
}

at("start").addEventListener("click", start);
at("end").addEventListener("click", start);
at("go").addEventListener("click", present);
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  next();
});
document.addEventListener("keydown", press);
window.addEventListener("beforeunload", (event) => page && event.preventDefault());
window.addEventListener("pagehide", () => {
  if (page) navigator.sendBeacon(urls.leave, new Blob([JSON.stringify({ page })], { type: "application/json" }));
});
window.addEventListener("pageshow", (event) => event.persisted && page && refused("left"));
if (!at("welcome").hidden) at("start").focus();
