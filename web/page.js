// The page: a recording from the microphone or a file, heard by `hear.js`, and the answer drawn.

import { hear, isSure, mixDown, MOST_SECONDS, openModel, RATE, refuse } from "./hear.js";

// `npm ci` in this folder puts the library here; without it, it comes from a CDN.
const LOCAL = new URL("node_modules/", import.meta.url).href;
const VERSION = "4.3.1";
const CDN = `https://cdn.jsdelivr.net/npm/@huggingface/transformers@${VERSION}`;
const MODEL = new URL(document.body.dataset.model, document.baseURI).pathname;
const FACES = ["angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised"];
const SURE = 0.8; // from here on "sure", below it "fairly sure"
const SECOND = 0.15; // from this probability on, a second emotion is named where the model is not sure

const one = (selector) => document.querySelector(selector);
const recorder = one("#recorder"), answer = one("#answer"), words = one("#words"), timer = one(".timer");
let model, report; // promises, once somebody has pressed a button
let turn = 0; // the number of the newest recording; an answer to an older one is not shown

// ------------------------------------------------------------------------------------------------- the model
async function loadLibrary() {
  try {
    const library = await import(`${LOCAL}@huggingface/transformers/dist/transformers.min.js`);
    library.env.backends.onnx.wasm.wasmPaths = `${LOCAL}onnxruntime-web/dist/`;
    return library;
  } catch {
    return import(CDN);
  }
}

async function loadModel() {
  const library = await loadLibrary();
  library.env.useBrowserCache = false; // the browser's own cache asks whether a file has changed
  return openModel(library, MODEL, ({ status, file, progress }) => {
    if (status === "progress" && file.endsWith(".onnx")) showWaiting("Loading the model.", progress);
  });
}

function prepare() {
  model ??= loadModel().catch((error) => { model = undefined; throw error; });
  report ??= fetch(`${MODEL}report.json`).then((reply) => reply.json()).catch(() => ({}));
  model.catch(() => {}); // whoever waits for it says so
}

// ---------------------------------------------------------------------------------------------------- sounds
async function decode(blob) {
  const context = new OfflineAudioContext(1, 1, RATE); // which resamples what it decodes
  const sound = await context.decodeAudioData(await blob.arrayBuffer());
  const most = MOST_SECONDS * RATE;
  const channels = Array.from({ length: sound.numberOfChannels }, (_, each) => sound.getChannelData(each).slice(0, most));
  return { samples: mixDown(channels), seconds: sound.duration };
}

async function listen(blob, name) {
  const mine = ++turn;
  const show = (element) => mine === turn && answer.replaceChildren(element);
  prepare();
  showWaiting("Listening to your recording.");
  let sound;
  try {
    sound = await decode(blob);
  } catch {
    return show(refusal("This file is not audio or video that this browser can read, or it is damaged."));
  }
  const sentence = refuse(sound.samples);
  if (sentence) return show(refusal(sentence));
  try {
    const opened = await model;
    showWaiting("Listening to your recording.");
    const shares = await hear(opened, sound.samples);
    show(card(shares, (await report).threshold ?? Infinity, name, sound.seconds));
    if (mine === turn) answer.scrollIntoView({ block: "nearest" }); // on a phone it is below the recorder
  } catch (error) {
    console.error(error);
    show(refusal("The model cannot be loaded or run in this browser. A newer browser, or another network, may help."));
  }
}

// ----------------------------------------------------------------------------------------------- the answer
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function face(label, little) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  const known = FACES.includes(label) || label === "not-sure";
  use.setAttribute("href", `faces.svg#face-${known ? label : "neutral"}`);
  svg.setAttribute("class", little ? "icon little" : "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

const colour = (label) => (FACES.includes(label) ? `e-${label}` : "e-other");
const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

function showWaiting(sentence, progress) {
  const bar = element("progress", progress === undefined ? {} : { max: 100, value: progress });
  bar.setAttribute("aria-label", sentence);
  const shown = answer.querySelector(".waiting");
  if (shown && progress !== undefined) return shown.replaceChildren(bar, element("p", {}, sentence));
  answer.replaceChildren(element("div", { class: "card waiting" }, bar, element("p", {}, sentence)));
}

function refusal(sentence) {
  return element("div", { class: "card" }, element("p", { class: "refusal", role: "alert" }, sentence));
}

function welcome() {
  const faces = element("div", { class: "faces" }, ...["angry", "happy", "sad", "surprised"].map((label) => face(label)));
  return element("div", { class: "card welcome" }, faces, element("p", {}, "Record a few words, and the answer appears here."));
}

function card(shares, threshold, name, seconds) {
  const [[label, share], [second, secondShare]] = shares;
  const sure = isSure(threshold, label, share);
  const title = sure ? ["Sounds ", element("b", {}, label)] : ["Not sure"];
  const how = sure
    ? `${share >= SURE ? "Sure" : "Fairly sure"}, ${percent(share)}`
    : `Perhaps ${label}${secondShare >= SECOND ? `, perhaps ${second}` : ""}`;
  const rows = shares.map(([each, part]) => {
    const bar = element("i");
    bar.style.width = `${100 * part}%`;
    return element("li", { class: `row ${colour(each)}`, "data-label": each },
      face(each, true), element("span", {}, each),
      element("span", { class: "bar", "aria-hidden": "true" }, bar), element("span", { class: "percent" }, percent(part)));
  });
  const heard = seconds > MOST_SECONDS ? "the first minute was heard" : `${seconds.toFixed(1)} s`;
  return element("article", { class: "card answer" },
    element("div", { class: "verdict" },
      element("div", { class: "face" }, face(sure ? label : "not-sure")),
      element("div", {},
        element("h2", { class: `label ${sure ? colour(label) : "e-unsure"}`, "data-label": label, "data-sure": sure }, ...title),
        element("p", { class: "how" }, how))),
    element("ul", { class: "rows" }, ...rows),
    element("p", { class: "note" }, `${name}, ${heard}`),
    element("p", { class: "care" }, "A voice alone does not tell how somebody feels. If you want to know, you can ask."));
}

// ---------------------------------------------------------------------------------------------- the recorder
let recording; // { media, stream, context, ticking } while the microphone is on

async function startRecording() {
  prepare();
  recorder.dataset.state = "asking";
  words.textContent = "Please allow the microphone in your browser.";
  try {
    if (!navigator.mediaDevices) throw new DOMException("no microphone here", "NotFoundError");
    const sound = { echoCancellation: false, noiseSuppression: false, autoGainControl: true };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: sound });
    const media = new MediaRecorder(stream), pieces = [], context = new AudioContext();
    const meter = context.createAnalyser(), levels = new Float32Array(meter.fftSize), began = performance.now();
    context.createMediaStreamSource(stream).connect(meter);
    media.ondataavailable = ({ data }) => pieces.push(data);
    media.onstop = () => {
      stopRecording();
      listen(new Blob(pieces, { type: media.mimeType }), "recording");
    };
    const ticking = setInterval(() => {
      const seconds = (performance.now() - began) / 1000;
      timer.textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
      meter.getFloatTimeDomainData(levels);
      const power = levels.reduce((sum, each) => sum + each * each, 0) / levels.length;
      recorder.style.setProperty("--loud", Math.min(1, 6 * Math.sqrt(power)).toFixed(2));
      if (seconds >= MOST_SECONDS) media.stop();
    }, 100);
    recording = { media, stream, context, ticking };
    media.start();
    recorder.dataset.state = "recording";
    words.textContent = "Recording. About ten seconds is enough.";
    one("#record").setAttribute("aria-label", "Stop");
    one(".dot-word").textContent = "Stop";
  } catch (error) {
    stopRecording();
    words.textContent = {
      NotAllowedError: "The browser does not allow the microphone. Allow it next to the address, then press again.",
      NotFoundError: "There is no microphone on this device. You can open a recording.",
    }[error.name] ?? "The microphone cannot be used now. Another program may be using it.";
  }
}

function stopRecording() {
  clearInterval(recording?.ticking);
  for (const track of recording?.stream.getTracks() ?? []) track.stop();
  recording?.context.close();
  recording = undefined;
  recorder.dataset.state = "idle";
  timer.textContent = "";
  words.textContent = "About ten seconds is enough.";
  one("#record").setAttribute("aria-label", "Record");
  one(".dot-word").textContent = "Record";
}

// -------------------------------------------------------------------------------------------------- the rest
function chooseTheme(dark) {
  document.documentElement.classList.toggle("dark", dark);
}

async function showSize() {
  const reply = await fetch(`${MODEL}onnx/model.onnx`, { method: "HEAD" });
  const bytes = Number(reply.headers.get("content-length"));
  if (reply.ok && bytes) one("#size").textContent = `The model, ${Math.round(bytes / 1e6)} MB,`;
}

const night = matchMedia("(prefers-color-scheme: dark)");
chooseTheme(night.matches);
night.addEventListener("change", () => chooseTheme(night.matches));
one("#theme").addEventListener("click", () => chooseTheme(!document.documentElement.classList.contains("dark")));
one("#record").addEventListener("click", () => {
  if (recorder.dataset.state === "idle") startRecording();
  else if (recording?.media.state === "recording") recording.media.stop();
});
one("#open").addEventListener("click", () => one("#file").click());
one("#file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (file) listen(file, file.name);
  target.value = ""; // so that the same file can be chosen again
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file) listen(file, file.name);
});
answer.replaceChildren(welcome());
showSize().catch(() => {});
