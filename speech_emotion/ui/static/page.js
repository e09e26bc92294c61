// What the page does in the browser: screens, words, recorder, player, timeline and live microphone.
//
// Python renders every answer as HTML; this file moves sounds to Python and lets people use the answers.
// Python and this file meet in three places: hidden file inputs (`give`), hidden text boxes (`put`) and hidden
// buttons (`press`). Everything else hangs on data attributes, so that HTML which arrives later works at once.
(() => {
  "use strict";

  const settings = window.SPEECH_EMOTION; // phrases, limits and examples, written by page.py
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const narrow = () => window.innerWidth < 800;

  // ------------------------------------------------------------------------------------------ words
  let language = pickLanguage();

  function pickLanguage() {
    const known = Object.keys(settings.phrases);
    const wanted = [new URLSearchParams(location.search).get("lang"), stored("language")];
    wanted.push(...(navigator.languages || []).map((each) => each.slice(0, 2)));
    return wanted.find((each) => known.includes(each)) || "en";
  }

  function stored(key, value) {
    try {
      if (value !== undefined) localStorage.setItem(key, value);
      return localStorage.getItem(key);
    } catch {
      return null; // a browser that keeps nothing, or a frame that may not
    }
  }

  function say(key, values = {}) {
    const text = settings.phrases[language][key] ?? settings.phrases.en[key] ?? key;
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
  }

  function translate() {
    for (const node of all("[data-t]")) {
      const text = say(node.dataset.t, node.dataset);
      if (node.textContent !== text) node.textContent = text;
    }
    for (const node of all("[data-t-label]")) {
      const text = say(node.dataset.tLabel, node.dataset);
      if (node.getAttribute("aria-label") !== text) node.setAttribute("aria-label", text);
    }
    for (const button of all("[data-language]")) {
      const pressed = String(button.dataset.language === language);
      if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
    }
    if (document.documentElement.lang !== language) document.documentElement.lang = language;
    if (document.title !== say("title")) document.title = say("title");
  }

  function speakLanguage(code) {
    language = code;
    stored("language", code);
    translate();
    put("language", code);
  }

  // Writes a line of words that follows the page's language from then on.
  function write(line, key, values = {}, alarm = false) {
    Object.assign(line.dataset, values, { t: key });
    line.classList.toggle("alarm", alarm);
    translate();
  }

  let lastSaid = "";
  function announce(text) {
    const region = one("#said");
    if (!region || !text || text === lastSaid) return;
    lastSaid = text;
    region.textContent = text;
  }

  // ------------------------------------------------------------------------------- the way to Python
  function put(id, value) {
    const box = one(`#${id} textarea, #${id} input`);
    if (!box) return;
    Object.getOwnPropertyDescriptor(box.constructor.prototype, "value").set.call(box, value);
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  const press = (id) => one(`#${id}`)?.click();

  function give(id, files) {
    const input = one(`[data-testid="${id}-upload-button"]`);
    const box = new DataTransfer();
    for (const file of files) box.items.add(file);
    input.files = box.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  // ------------------------------------------------------------------------------------------- tabs
  function tabsOf(list) {
    return all('[role="tab"]', list);
  }

  function openTab(tab, { focus = false, keep = false } = {}) {
    const list = tab.closest('[role="tablist"]');
    for (const each of tabsOf(list)) {
      const chosen = each === tab;
      each.setAttribute("aria-selected", chosen);
      each.tabIndex = chosen ? 0 : -1;
      const panel = document.getElementById(each.getAttribute("aria-controls"));
      if (!panel) continue;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", each.id);
      panel.classList.toggle("closed", !chosen);
    }
    if (focus) tab.focus();
    if (list.id === "screens") {
      const name = tab.dataset.screen;
      if (!keep) history.replaceState(null, "", name === "listen" ? location.pathname + location.search : `#${name}`);
      if (name !== "live") live.stop();
      if (name !== "listen") ["voice", "plain-voice"].forEach(stopRecorders);
      if (name !== "practice") stopRecorders("practice-voice");
      if (tab.dataset.opens && !tab.dataset.opened) {
        tab.dataset.opened = "yes";
        press(tab.dataset.opens);
      }
      if (!keep) window.scrollTo({ top: 0 });
    }
  }

  function moveInList(event, items, present) {
    const keys = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const at = items.indexOf(present);
    let to = at + (keys[event.key] ?? 0);
    if (event.key === "Home") to = 0;
    if (event.key === "End") to = items.length - 1;
    if (to === at || !items.length) return null;
    event.preventDefault();
    return items[(to + items.length) % items.length];
  }

  function openScreen(name) {
    const tab = one(`#screens [data-screen="${name}"]`);
    if (tab) openTab(tab);
  }

  // ----------------------------------------------------------------------------------- a microphone
  const CAPTURE = `registerProcessor("capture", class extends AudioWorkletProcessor {
    process([input]) { if (input[0]) this.port.postMessage(input[0].slice()); return true; }
  });`;

  class Microphone {
    // Calls `hear` with Float32 samples of one channel; `rate` is known after `open`.
    async open(hear) {
      this.closed = false;
      const sound = { echoCancellation: false, noiseSuppression: false, autoGainControl: true };
      if (!navigator.mediaDevices) throw new DOMException("no microphone here", "NotFoundError");
      const stream = await navigator.mediaDevices.getUserMedia({ audio: sound });
      try {
        this.context = new AudioContext({ sampleRate: settings.rate });
        this.source = this.context.createMediaStreamSource(stream);
      } catch {
        this.context?.close(); // Firefox records only at the microphone's own rate
        this.context = new AudioContext();
        this.source = this.context.createMediaStreamSource(stream);
      }
      this.stream = stream;
      this.rate = this.context.sampleRate;
      const worklet = URL.createObjectURL(new Blob([CAPTURE], { type: "text/javascript" }));
      await this.context.audioWorklet.addModule(worklet);
      URL.revokeObjectURL(worklet);
      if (this.closed) return this.close(); // left while permission was asked for
      const node = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0 });
      node.port.onmessage = ({ data }) => this.closed || hear(data);
      this.source.connect(node);
      await this.context.resume();
    }

    close() {
      this.closed = true;
      for (const track of this.stream?.getTracks() ?? []) track.stop();
      if (this.context && this.context.state !== "closed") this.context.close();
    }
  }

  function explainMicrophone(error) {
    if (error.name === "NotAllowedError" || error.name === "SecurityError") return "microphone_refused";
    if (error.name === "NotFoundError") return "microphone_missing";
    return "microphone_busy";
  }

  function writeWav(pieces, rate) {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const bytes = new DataView(new ArrayBuffer(44 + 2 * length));
    const text = (at, words) => [...words].forEach((each, index) => bytes.setUint8(at + index, each.charCodeAt(0)));
    text(0, "RIFF"); bytes.setUint32(4, 36 + 2 * length, true); text(8, "WAVEfmt ");
    bytes.setUint32(16, 16, true); bytes.setUint16(20, 1, true); bytes.setUint16(22, 1, true);
    bytes.setUint32(24, rate, true); bytes.setUint32(28, 2 * rate, true);
    bytes.setUint16(32, 2, true); bytes.setUint16(34, 16, true);
    text(36, "data"); bytes.setUint32(40, 2 * length, true);
    let at = 44;
    for (const piece of pieces) {
      for (const sample of piece) {
        bytes.setInt16(at, 32767 * Math.max(-1, Math.min(1, sample)), true);
        at += 2;
      }
    }
    return new Blob([bytes.buffer], { type: "audio/wav" });
  }

  const loudness = (samples) => Math.min(1, 6 * Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / samples.length));
  const clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    if (!parts[0]) return `${parts[1]}:${String(parts[2]).padStart(2, "0")}`;
    return `${parts[0]}:${String(parts[1]).padStart(2, "0")}:${String(parts[2]).padStart(2, "0")}`;
  };

  // --------------------------------------------------------------------------------------- recorder
  // A recorder is `.recorder[data-for]`: a round button, a line of words, and the file input it feeds.
  const recorders = new Map();

  class Recorder {
    constructor(target) {
      this.target = target;
      this.state = "idle";
    }

    get box() {
      return one(`.recorder[data-for="${this.target}"]`);
    }

    get hint() {
      return this.box?.dataset.hint ?? "record_hint";
    }

    async start() {
      if (this.state !== "idle") return;
      recorders.forEach((each) => each.drop());
      const area = one(`[data-answer-of="${this.target}"]`);
      if (area) area.innerHTML = "";
      pause();
      this.show("asking", "asking");
      this.pieces = [];
      this.length = 0;
      this.microphone = new Microphone();
      try {
        await this.microphone.open((samples) => this.hear(samples));
      } catch (error) {
        this.microphone.close();
        this.show("idle", explainMicrophone(error), true);
        return;
      }
      if (this.state === "asking") this.show("recording", this.target === "voice" ? "recording_hint" : "recording_now");
    }

    hear(samples) {
      if (this.state !== "recording") return;
      this.pieces.push(samples);
      this.length += samples.length;
      const seconds = this.length / this.microphone.rate;
      this.box?.style.setProperty("--loud", loudness(samples).toFixed(2));
      const timer = one(".timer", this.box);
      if (timer && timer.textContent !== clock(seconds)) timer.textContent = clock(seconds);
      if (44 + 2 * this.length > settings.maxBytes - 100000 || seconds >= settings.maxSeconds) this.stop();
    }

    stop() {
      if (this.state === "idle") return;
      this.microphone.close();
      const enough = this.state === "recording" && this.length / this.microphone.rate > 0.2;
      this.show("idle", this.hint);
      if (enough) {
        const sound = writeWav(this.pieces, this.microphone.rate);
        chosen(this.target, new File([sound], `${say("recording_name")}.wav`, { type: "audio/wav" }));
      }
    }

    drop() {
      if (this.state === "idle") return;
      this.microphone.close();
      this.show("idle", this.hint);
    }

    // The card can come anew from Python while somebody already records.
    restore() {
      if (this.box && this.box.dataset.state !== this.state) this.show(...this.shown);
    }

    show(state, key, alarm = false) {
      this.state = state;
      this.shown = [state, key, alarm];
      const box = this.box;
      if (!box) return;
      box.dataset.state = state;
      const action = state === "idle" ? "record" : "stop";
      one(".dot", box).dataset.tLabel = action;
      one(".dot-word", box).dataset.t = action;
      if (state !== "recording") one(".timer", box).textContent = "";
      write(one(".recorder-words", box), key, {}, alarm);
      announce(state === "recording" ? say("recording_now") : alarm ? say(key) : "");
    }
  }

  function recorder(target) {
    if (!recorders.has(target)) recorders.set(target, new Recorder(target));
    return recorders.get(target);
  }

  function stopRecorders(target) {
    recorders.get(target)?.drop();
  }

  function chosen(target, file) {
    if (target === "voice") {
      choose(file);
      return;
    }
    const trouble = misfit(file), area = one(`[data-answer-of="${target}"]`);
    if (area) area.innerHTML = trouble ? `<p class="alarm">${say(...trouble)}</p>` : waiting();
    if (trouble) announce(say(...trouble));
    else give(target, [file]);
  }

  // ----------------------------------------------------------------------- the recording and its player
  const waiting = () => `<div class="card waiting"><span class="pulse"></span><p>${say("listening")}</p></div>`;
  let scrollTo = null; // the answer to come into view once it is there

  // Why a file cannot be sent, as a key and its values; nothing where it can.
  function misfit(file) {
    const megabytes = (size, round) => round(size / 2 ** 20);
    if (!file.size) return ["empty_file"];
    if (file.size <= settings.maxBytes) return null;
    return ["too_large", { most: megabytes(settings.maxBytes, Math.floor), size: megabytes(file.size, Math.ceil) }];
  }

  function choose(file, name = "") {
    const trouble = misfit(file);
    if (trouble) {
      refuse(...trouble);
      return;
    }
    write(one("#recorder-card .recorder-words"), "record_hint");
    const player = one("#player");
    if (player.src) URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(file);
    player.load();
    one("#player-bar").hidden = false;
    one("#player-name").textContent = name || file.name;
    one("#screen-listen").classList.add("has-recording");
    put("example", name && file.example ? file.example : "");
    callState.emotion = null;
    showAnswer(waiting());
    scrollTo = "#answer";
    drawWave(file);
    give("voice", [file]);
  }

  function showAnswer(html) {
    const area = one("#answer .html-container > div") || one("#answer");
    area.innerHTML = html;
  }

  function refuse(key, values) {
    write(one("#recorder-card .recorder-words"), key, values, true);
    announce(say(key, values));
  }

  function forget({ again = false } = {}) {
    const player = one("#player");
    player.pause();
    if (player.src) URL.revokeObjectURL(player.src);
    player.removeAttribute("src");
    player.load();
    one("#player-bar").hidden = true;
    one("#screen-listen").classList.remove("has-recording");
    write(one("#recorder-card .recorder-words"), "record_hint");
    press("forget");
    scrollTo = null;
    window.scrollTo({ top: 0 });
    if (again) recorder("voice").start();
  }

  function pause() {
    one("#player")?.pause();
  }

  function play(seconds, until = null) {
    const player = one("#player");
    if (!player?.src) return;
    player.currentTime = seconds;
    player.dataset.until = until ?? "";
    player.play().catch(() => announce(say("cannot_play")));
  }

  function followPlayer() {
    const player = one("#player"), seek = one("#player-seek"), time = one("#player-time"), button = one("#player-button");
    if (!player || player.dataset.followed) return;
    player.dataset.followed = "yes";
    const length = () => (Number.isFinite(player.duration) ? player.duration : 0);
    const show = () => {
      const whole = length();
      seek.max = whole.toFixed(2);
      seek.value = player.currentTime;
      seek.style.setProperty("--done", whole ? player.currentTime / whole : 0);
      seek.setAttribute("aria-valuetext", `${clock(player.currentTime)} / ${clock(whole)}`);
      time.textContent = `${clock(player.currentTime)} / ${clock(whole)}`;
      const key = player.paused ? "play" : "pause";
      if (button.dataset.tLabel !== key) {
        button.dataset.tLabel = key;
        button.setAttribute("aria-label", say(key));
        button.classList.toggle("playing", !player.paused);
      }
      const until = Number(player.dataset.until);
      if (player.dataset.until && player.currentTime >= until) {
        player.dataset.until = "";
        player.pause();
      }
      lightSegment(player.currentTime, !player.paused);
    };
    for (const name of ["timeupdate", "play", "pause", "ended", "loadedmetadata", "durationchange", "seeked", "emptied"]) {
      player.addEventListener(name, show);
    }
    player.addEventListener("error", () => {
      one("#player-bar").classList.toggle("unplayable", Boolean(player.getAttribute("src")));
      if (player.getAttribute("src")) time.textContent = say("cannot_play");
    });
    player.addEventListener("loadeddata", () => one("#player-bar").classList.remove("unplayable"));
    seek.addEventListener("input", () => {
      player.dataset.until = "";
      player.currentTime = Number(seek.value);
    });
  }

  async function drawWave(file) {
    const wave = one("#player-wave");
    wave.innerHTML = "";
    if (file.size > 8e6) return; // a long recording has its own picture below
    try {
      const context = new OfflineAudioContext(1, 1, 16000);
      const sound = await context.decodeAudioData(await file.arrayBuffer());
      const samples = sound.getChannelData(0), bars = 120, step = Math.max(1, Math.floor(samples.length / bars));
      const peaks = Array.from({ length: bars }, (_, bar) => {
        let peak = 0;
        for (let at = bar * step; at < Math.min(samples.length, (bar + 1) * step); at += 8) peak = Math.max(peak, Math.abs(samples[at]));
        return peak;
      });
      const most = Math.max(...peaks, 1e-3);
      wave.innerHTML = peaks.map((peak, bar) => {
        const height = 2 + (28 * peak) / most;
        return `<rect x="${bar * 3}" y="${(32 - height) / 2}" width="2" height="${height}" rx="1"/>`;
      }).join("");
    } catch {
      wave.innerHTML = ""; // the browser cannot read this kind of file; the answer does not depend on it
    }
  }

  function useFiles(files) {
    if (files.length) choose(files[0]);
  }

  async function useExample(button) {
    const file = new File([await (await fetch(button.dataset.url)).blob()], button.dataset.file);
    file.example = button.dataset.example;
    for (const each of all("[data-example]")) each.setAttribute("aria-pressed", each === button);
    choose(file, button.dataset.name);
  }

  // ---------------------------------------------------------------------------------- a call's timeline
  const callState = { emotion: null };

  function lightSegment(seconds, playing) {
    for (const call of all(".call")) {
      const head = one(".playhead", call);
      if (head) head.hidden = !seconds;
      if (head) head.style.left = `${(100 * seconds) / Number(call.dataset.seconds)}%`;
      for (const segment of all(".segment", call)) {
        const lit = playing && seconds >= Number(segment.dataset.start) && seconds < Number(segment.dataset.end);
        if (lit !== segment.classList.contains("lit")) segment.classList.toggle("lit", lit);
        if (lit) {
          const now = one("#player-now");
          if (now && now.textContent !== segment.dataset.words) now.textContent = segment.dataset.words;
        }
      }
    }
    if (!playing && one("#player-now")) one("#player-now").textContent = "";
  }

  function readyCall(call) {
    if (call.dataset.ready) return;
    call.dataset.ready = "yes";
    const wanted = callState.emotion && one(`[data-curve-of="${callState.emotion}"]`, call) ? callState.emotion : call.dataset.emotion;
    showCurve(call, wanted);
    for (const strip of all(".segments", call)) {
      const segments = all(".segment", strip);
      segments.forEach((each, index) => (each.tabIndex = index ? -1 : 0));
    }
    zoomTo(call, 1, 0);
    for (const chart of all(".zoomable", call)) watchDrag(call, chart);
  }

  function showCurve(call, emotion) {
    for (const each of all("[data-curve-of]", call)) each.hidden = each.dataset.curveOf !== emotion;
    for (const each of all("g[data-curve-of]", call)) each.style.display = each.dataset.curveOf === emotion ? "" : "none";
    for (const each of all("[data-curve]", call)) each.setAttribute("aria-pressed", each.dataset.curve === emotion);
  }

  function zoomTo(call, zoom, at) {
    const scroll = one(".scroll", call), inner = one(".whole", call), seconds = Number(call.dataset.seconds);
    zoom = Math.max(1, Math.min(zoom, Math.max(1, seconds / 5)));
    call.dataset.zoom = zoom;
    inner.style.width = `${100 * zoom}%`;
    scroll.scrollLeft = (at / seconds) * scroll.clientWidth * zoom;
    for (const button of all('[data-zoom="out"], [data-zoom="whole"]', call)) button.disabled = zoom <= 1;
    scroll.tabIndex = 0;
    drawAxis(call);
  }

  function drawAxis(call) {
    const axis = one(".axis", call), seconds = Number(call.dataset.seconds);
    const width = one(".whole", call).getBoundingClientRect().width;
    if (!width) return;
    const most = Math.max(2, Math.floor(width / 84));
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900].find((each) => seconds / each <= most) || 1800;
    let marks = "";
    for (let at = 0; at <= seconds - step / 3 || at === 0; at += step) marks += `<span style="left:${(100 * at) / seconds}%">${clock(at)}</span>`;
    axis.innerHTML = marks;
  }

  function watchDrag(call, chart) {
    let from = null, mark = null;
    const place = (event) => {
      const box = chart.getBoundingClientRect();
      return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    };
    chart.addEventListener("pointerdown", (event) => {
      if (event.button || event.pointerType === "touch") return; // a finger scrolls
      from = place(event);
      chart.setPointerCapture(event.pointerId);
      mark = document.createElement("div");
      mark.className = "selection";
      chart.append(mark);
    });
    chart.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = place(event);
      mark.style.left = `${100 * Math.min(from, to)}%`;
      mark.style.width = `${100 * Math.abs(to - from)}%`;
    });
    chart.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const to = place(event), seconds = Number(call.dataset.seconds);
      mark.remove();
      if (Math.abs(to - from) * chart.getBoundingClientRect().width < 8) play(to * seconds);
      else zoomTo(call, 0.95 / Math.abs(to - from), Math.min(from, to) * seconds);
      from = null;
    });
  }

  function zoomBy(call, how) {
    const scroll = one(".scroll", call), zoom = Number(call.dataset.zoom), seconds = Number(call.dataset.seconds);
    const middle = ((scroll.scrollLeft + scroll.clientWidth / 2) / (scroll.clientWidth * zoom)) * seconds;
    const next = how === "whole" ? 1 : how === "in" ? 2 * zoom : zoom / 2;
    zoomTo(call, next, Math.max(0, middle - seconds / next / 2));
  }

  function renameLane(input) {
    const name = input.value.trim() || input.defaultValue;
    for (const each of all(`[data-lane-name="${input.dataset.lane}"]`)) each.textContent = name;
  }

  // A file to save: the text lies in the page, with the lanes' names as they are now.
  function save(button) {
    let text = one(`#${button.dataset.save}`).textContent;
    for (const input of all(".lane-name")) text = text.replaceAll(`\u2039${input.dataset.lane}\u203a`, input.value.trim() || input.defaultValue);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: button.dataset.mime }));
    link.download = button.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // ------------------------------------------------------------------------------------------- live
  const live = {
    microphone: null,
    pieces: [],
    sending: false,

    async start() {
      if (this.microphone) return;
      pause();
      const microphone = (this.microphone = new Microphone());
      this.pieces = [];
      this.sending = false;
      this.say("asking");
      this.show(true);
      try {
        await microphone.open((samples) => this.hear(samples));
      } catch (error) {
        microphone.close();
        if (this.microphone === microphone) {
          this.microphone = null;
          this.show(false);
          this.say(explainMicrophone(error), true);
        }
        return;
      }
      if (this.microphone !== microphone) return;
      this.began = performance.now();
      this.say("live_speak");
    },

    hear(samples) {
      if (!this.microphone) return;
      this.pieces.push(samples);
      one("#live-card")?.style.setProperty("--loud", loudness(samples).toFixed(2));
      const rate = this.microphone.rate, length = this.pieces.reduce((sum, each) => sum + each.length, 0);
      if (performance.now() - this.began > 1000 * settings.liveSeconds) {
        this.stop();
        this.say("live_over");
        return;
      }
      if (length < 0.5 * rate || (this.sending && performance.now() - this.sent < 5000)) return;
      this.sending = true;
      this.sent = performance.now();
      const pieces = this.pieces;
      this.pieces = [];
      const reader = new FileReader();
      // Two pieces of pure silence are the same sound; with the moment before it, each is a change of the box.
      reader.onload = () => this.microphone && put("live-sound", `${this.sent},${reader.result.split(",")[1]}`);
      reader.readAsDataURL(writeWav(pieces, rate));
    },

    answered() {
      this.sending = false;
    },

    stop() {
      if (!this.microphone) return;
      this.microphone.close();
      this.microphone = null;
      this.show(false);
      this.say("live_stopped");
      press("live-forget");
    },

    show(on) {
      const button = one("#live-button");
      if (!button) return;
      button.dataset.t = on ? "stop" : "start";
      button.classList.toggle("running", on);
      one("#live-card").classList.toggle("running", on);
      translate();
    },

    say(key, alarm = false) {
      const line = one("#live-words");
      if (!line) return;
      write(line, key, {}, alarm);
      announce(say(key));
    },
  };

  // ------------------------------------------------------------------------------------- many files
  function sortRows(button) {
    const table = button.closest("table"), head = button.closest("th"), column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const each of all("th", table)) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const rows = all("tbody tr", table).sort((a, b) => value(a).localeCompare(value(b), language, { numeric: true }));
    one("tbody", table).append(...(down ? rows.reverse() : rows));
  }

  function filterRows() {
    const words = (one("#batch-search")?.value || "").toLowerCase(), kind = one("#batch-filter")?.value || "";
    let shown = 0;
    for (const row of all("#batch-table tbody tr")) {
      const fits = row.textContent.toLowerCase().includes(words) && (!kind || row.dataset.kind === kind);
      row.hidden = !fits;
      shown += fits;
    }
    const count = one("#batch-shown");
    if (count) count.textContent = say("rows_shown", { count: shown });
  }

  let batchFiles = new Map(); // what was chosen, by name, so that a row can be heard
  function giveMany(files, folder) {
    const recording = (file) => settings.suffixes.some((each) => file.name.toLowerCase().endsWith(`.${each}`));
    const usable = [...files].filter((file) => file.size <= settings.maxBytes && (!folder || recording(file)));
    if (!usable.length) return;
    batchFiles = new Map(usable.map((file) => [file.name, file]));
    give("files", usable);
  }

  function playRow(button) {
    const file = batchFiles.get(button.dataset.file), player = one("#row-player");
    if (!file) return;
    if (player.dataset.file === button.dataset.file && !player.paused) {
      player.pause();
      return;
    }
    if (player.src) URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(file);
    player.dataset.file = button.dataset.file;
    player.play().catch(() => announce(say("cannot_play")));
  }

  const inOrder = (files) => [...files].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));

  async function filesOf(items) {
    const found = [];
    const walk = async (entry) => {
      if (entry.isFile) found.push(await new Promise((done, failed) => entry.file(done, failed)));
      else {
        const reader = entry.createReader();
        for (;;) {
          const batch = await new Promise((done, failed) => reader.readEntries(done, failed));
          if (!batch.length) break;
          for (const each of batch) await walk(each);
        }
      }
    };
    const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    for (const entry of entries) await walk(entry);
    return { files: inOrder(found), folder: entries.some((entry) => entry.isDirectory) };
  }

  // ------------------------------------------------------------------------------------------ events
  const ACTIONS = {
    record: (button) => {
      const each = recorder(button.closest(".recorder").dataset.for);
      if (each.state === "idle") each.start();
      else each.stop();
    },
    again: () => forget({ again: true }),
    clear: () => forget(),
    upload: (button) => one(`#${button.dataset.input}`).click(),
    example: useExample,
    playpause: () => {
      const player = one("#player");
      player.dataset.until = "";
      if (player.paused) player.play().catch(() => announce(say("cannot_play")));
      else player.pause();
    },
    play: (button) => play(Number(button.dataset.start), Number(button.dataset.end) || null),
    curve: (button) => {
      callState.emotion = button.dataset.curve; // stays chosen while more of the recording arrives
      showCurve(button.closest(".call"), button.dataset.curve);
    },
    zoom: (button) => zoomBy(button.closest(".call"), button.dataset.zoom),
    save,
    screen: (button) => openScreen(button.dataset.screen),
    language: (button) => speakLanguage(button.dataset.language),
    live: () => (live.microphone ? live.stop() : live.start()),
    press: (button) => press(button.dataset.press),
    sort: sortRows,
    row: playRow,
    copy: (button) => {
      navigator.clipboard?.writeText(one(`#${button.dataset.copy}`).textContent);
      announce(say("copied"));
    },
    practice: (button) => {
      for (const each of all("[data-action=practice]")) each.setAttribute("aria-pressed", each === button);
      put("practice-target", button.dataset.value);
    },
    theme: () => {
      const dark = !document.body.classList.contains("dark");
      document.body.classList.toggle("dark", dark);
      stored("theme", dark ? "dark" : "light");
    },
  };

  document.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (tab) return openTab(tab);
    const button = event.target.closest("[data-action]");
    if (!button || button.disabled) return;
    if (button.tagName === "A") event.preventDefault();
    ACTIONS[button.dataset.action]?.(button);
  });

  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.('[role="tab"]');
    if (tab) {
      const next = moveInList(event, tabsOf(tab.closest('[role="tablist"]')), tab);
      if (next) openTab(next, { focus: true });
      return;
    }
    const segment = event.target.closest?.(".segment");
    if (segment) {
      const next = moveInList(event, all(".segment", segment.parentElement), segment);
      if (!next) return;
      segment.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }
  });

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (input.id === "upload-input") useFiles(input.files);
    else if (input.dataset?.target && input.files.length) chosen(input.dataset.target, input.files[0]);
    else if (input.matches?.("[data-many]")) giveMany(inOrder(input.files), input.webkitdirectory);
    else if (input.dataset?.put) put(input.dataset.put, input.value);
    else if (input.classList?.contains("lane-name")) renameLane(input);
    else if (input.id === "batch-filter") filterRows();
    else return;
    if (input.type === "file") input.value = "";
  });
  document.addEventListener("input", (event) => {
    if (event.target.id === "batch-search") filterRows();
  });

  for (const name of ["dragover", "drop", "dragleave"]) {
    document.addEventListener(name, async (event) => {
      if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
      event.preventDefault();
      const many = one("#screen-files") && !one("#screen-files").classList.contains("closed");
      document.body.classList.toggle("dropping", name === "dragover");
      if (name !== "drop") return;
      const { files, folder } = await filesOf(event.dataTransfer.items);
      if (many) giveMany(files, folder);
      else {
        openScreen("listen");
        useFiles(files);
      }
    });
  }

  window.addEventListener("resize", () => all(".call").forEach(drawAxis));
  window.addEventListener("pagehide", () => {
    live.stop();
    recorders.forEach((each) => each.drop());
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) live.stop();
  });

  // ------------------------------------------------------------------- whatever arrives from Python
  let lastAnswer = null;

  function arrived() {
    followPlayer();
    translate();
    recorders.forEach((each) => each.restore());
    const model = one("#model-choice")?.value;
    if (model && model !== one("#model textarea, #model input")?.value) put("model", model); // as it is offered now
    all(".call").forEach(readyCall);
    for (const each of all("#card pre, #card table")) if (each.tabIndex < 0) each.tabIndex = 0; // they scroll
    for (const list of all('[role="tablist"]')) {
      if (!list.dataset.ready && tabsOf(list).every((tab) => document.getElementById(tab.getAttribute("aria-controls")))) {
        list.dataset.ready = "yes";
        const wanted = list.id === "screens" && location.hash ? one(`[data-screen="${CSS.escape(location.hash.slice(1))}"]`, list) : null;
        openTab(wanted || tabsOf(list)[0], { keep: true });
      }
    }
    const answer = one("#answer [data-say]");
    if (answer && answer !== lastAnswer) {
      lastAnswer = answer;
      announce(answer.dataset.say);
      if (scrollTo) {
        if (narrow() || answer.querySelector(".call, .scroll")) one("#player-bar").scrollIntoView({ block: "start", behavior: "auto" });
        scrollTo = null;
      }
    }
    const follow = one("#live [data-live]");
    if (follow && follow.dataset.live !== live.seen) {
      live.seen = follow.dataset.live;
      live.answered();
    }
  }

  let queued = false;
  const watcher = new MutationObserver(() => {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => {
      queued = false;
      arrived();
    });
  });

  function begin() {
    watcher.observe(document.body, { childList: true, subtree: true });
    const wanted = new URLSearchParams(location.search).get("__theme") || stored("theme");
    const dark = wanted ? wanted === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const settle = setInterval(() => {
      document.body.classList.toggle("dark", dark);
      if (!one("#language textarea, #language input")) return;
      clearInterval(settle);
      speakLanguage(language);
    }, 100);
    arrived();
  }

  window.page = { press, put, choose, openScreen };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
