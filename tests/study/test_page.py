"""The reader's script without a browser: what it sends, and what it does when an answer is not taken.

Node.js runs it over a document that has as much as the script asks for. Skipped where there is no Node.js.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.study.texts import load_texts

SCRIPT = Path(__file__).parents[2] / "tools" / "study" / "pages" / "static" / "study.js"
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js here")

DOCUMENT = """
const fs = require("fs");
const elements = {}, sent = [], listeners = {};
function element(id) {
  const made = {
    id, hidden: true, value: "", textContent: "", children: [], attributes: {}, disabled: false, tagName: "DIV",
    classList: { toggle() {} },
    setAttribute(name, value) { made.attributes[name] = value; },
    getAttribute: (name) => made.attributes[name],
    addEventListener(name, action) { made[name] = action; },
    append(...more) { made.children.push(...more); },
    replaceChildren(...more) { made.children = more; },
    querySelectorAll: () => made.children.filter((child) => child.tagName === "BUTTON"),
    focus() {}, blur() {},
  };
  return made;
}
const at = (id) => (elements[id] = elements[id] || element(id));
at("content").textContent = fs.readFileSync(0, "utf-8");
const document = {
  getElementById: at, body: element("body"), activeElement: null, addEventListener() {},
  querySelectorAll: (what) => (what === "main" ? ["welcome", "reading", "failed", "finished"].map(at) : []),
  createElement: (tag) => Object.assign(element(), { tagName: tag.toUpperCase() }),
};
const window = { scrollTo() {}, addEventListener() {} };
class Image { decode() { return Promise.resolve(); } setAttribute() {} }
const answers = ["invalid", null];
async function fetch(url, request) {
  const content = JSON.parse(request.body);
  sent.push([url, request.body]);
  const question = { done: false, number: 1, total: 1, section: "survey", images: ["x"] };
  let found = { started: true };
  if (url === "question") found = sent.some(([u, b]) => u === "answer") && !answers.length ? { done: true } : question;
  if (url === "answer") found = answers.shift() === "invalid" ? { error: "invalid" } : { accepted: 1 };
  return { status: found.error ? 400 : 200, headers: { get: () => "application/json" }, json: async () => found };
}
Object.defineProperty(globalThis, "crypto", { value: { getRandomValues: (array) => array }, configurable: true });
"""

SCENE = """
;(async () => {
  const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
  at("start").click();
  for (let i = 0; i < 50 && !complete(); i++) { await settle(); choose(1); }
  at("reason").value = "a noise \\ud83d and a smile \\ud83d\\ude00";
  await next();
  const after = { shown: !at("reading").hidden, status: at("status").textContent, next: at("next").disabled };
  choose(0);
  at("reason").value = "in other words";
  await next();
  console.log(JSON.stringify({ after, sent, finished: !at("finished").hidden }));
})();
"""


def test_half_a_character_is_mended_and_a_refused_answer_can_be_given_again(tmp_path):
    content = {"texts": load_texts("en"), "display": {}, "volumes": False}
    content["urls"] = {name: name for name in ("start", "question", "answer", "leave")}
    script = tmp_path / "page.js"
    own = SCRIPT.read_text(encoding="utf-8").replace("const at =", "const unused =", 1).replace('"use strict";', "", 1)
    script.write_text(DOCUMENT + own + SCENE, encoding="utf-8")
    done = subprocess.run(["node", str(script)], input=json.dumps(content), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    answers = [json.loads(body) for url, body in found["sent"] if url == "answer"]
    assert answers[0]["reason"] == "a noise \ufffd and a smile \U0001f600"
    assert found["after"] == {"shown": True, "status": load_texts("en")["unkept"], "next": True}
    assert (answers[1]["choice"], answers[1]["reason"]) == ("real", "in other words")
    assert answers[1]["ms"] >= answers[0]["ms"]
    assert found["finished"]
