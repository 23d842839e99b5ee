"use strict";
// What all parts of the page share: elements, numbers, and asking the server, which knows the page by a secret.
// All that comes from files or the server enters the page as text, never as HTML.

const $ = (id) => document.getElementById(id);

function element(name, ...content) {
  const node = document.createElement(name);
  node.append(...content);
  return node;
}

/** Say a text aloud. */
const say = (text) => { $("said").textContent = text; };

/** A value with so many decimals. */
const fixed = (value, digits = 4) => value.toFixed(digits).replace("-", "−");

let visitor = "";   // the secret
let offered = null; // what can be chosen
const SILENCE = 30_000;  // ms between two signs of life

/** What the server answers; an Error with its words if it refuses. */
async function ask(method, address, body, headers = {}) {
  const answer = await fetch(address, {method, body, headers: {"X-Relax-Visitor": visitor, ...headers}}).catch(() => {
    throw new Error("The app does not answer: it was ended, or this machine is offline.");
  });
  if (answer.ok) return answer;
  const words = await answer.json().then((reason) => reason.words, () => `status ${answer.status}`);
  throw new Error(words);
}

const json = async (...question) => (await ask(...question)).json();

/** Show what went wrong; nothing if all is well. */
function trouble(error) {
  const words = error ? error.message ?? String(error) : "";
  $("trouble").textContent = words;
  $("trouble").hidden = !words;
  if (words) $("trouble").scrollIntoView({block: "nearest"});
}

/** Do something, and show what went wrong. */
const tried = (action) => async (...given) => {
  trouble(null);
  try {
    return await action(...given);
  } catch (error) {
    trouble(error);
  }
};

addEventListener("DOMContentLoaded", tried(async () => {
  offered = await json("POST", "visitor");
  visitor = offered.visitor;
  setInterval(() => ask("POST", "visitor/alive").catch(() => {}), SILENCE);
  buildForm();
  document.querySelector("#form").hidden = document.querySelector(".results").hidden = false;
  document.documentElement.dataset.ready = "";
}));

// The page is left: what it brought is removed. One that comes back from the browser's memory starts anew.
addEventListener("pagehide", () => {
  fetch("visitor", {method: "DELETE", keepalive: true, headers: {"X-Relax-Visitor": visitor}}).catch(() => {});
});
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
