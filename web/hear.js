// Answers a recording in the browser or in Node: samples in, the probability of every emotion out.
//
// The rules are those of `EmotionClassifier.logits`: a recording is cut into half-overlapping windows, and their
// mean logits are the answer. Unlike the app, nothing looks for speech first.

export const RATE = 16000; // samples a second that the model takes
export const MOST_SECONDS = 60; // of a recording that are heard
const WINDOW_SECONDS = 5; // of a model that does not say how much it takes at once
const SILENCE = 10 ** (-50 / 20); // a recording whose peak stays below this is silence
const LEAST_SECONDS = 0.2;

// Opens a model folder with transformers.js. `folder` is a path without a host: of an address in the browser,
// of files in Node.
export async function openModel({ pipeline, env }, folder, onProgress) {
  const [, parent, name] = folder.match(/^(.*\/)([^/]+)\/?$/);
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  env.localModelPath = parent;
  const classify = await pipeline("audio-classification", name, { progress_callback: onProgress });
  const labels = Object.values(classify.model.config.id2label);
  return { classify, labels, windowSeconds: classify.model.config.window_seconds ?? WINDOW_SECONDS };
}

// Returns the labels with their probabilities, the largest first: [[label, share], ...].
export async function hear({ classify, labels, windowSeconds }, samples) {
  const sums = Object.fromEntries(labels.map((label) => [label, 0]));
  const windows = cutWindows(samples, windowSeconds);
  for (const window of windows) {
    for (const { label, score } of await classify(window, { top_k: labels.length })) {
      sums[label] += Math.log(Math.max(score, 1e-30)) / windows.length; // a logit but for a constant
    }
  }
  const powers = labels.map((label) => Math.exp(sums[label]));
  const whole = powers.reduce((sum, each) => sum + each, 0);
  return labels.map((label, index) => [label, powers[index] / whole]).sort(([, a], [, b]) => b - a);
}

// Cuts samples into half-overlapping windows, the last one flush with the end.
export function cutWindows(samples, seconds) {
  const size = Math.trunc(seconds * RATE);
  if (samples.length <= size) return [samples];
  const windows = [];
  for (let start = 0; start < samples.length - size; start += size >> 1) windows.push(samples.subarray(start, start + size));
  windows.push(samples.subarray(samples.length - size));
  return windows;
}

// Averages channels, Float32Arrays of one length; where they cancel each other, takes the loudest.
export function mixDown(channels) {
  const mean = channels[0].map((_, at) => channels.reduce((sum, each) => sum + each[at], 0) / channels.length);
  const powers = channels.map(variance);
  const most = Math.max(...powers);
  return 2 * channels.length ** 2 * variance(mean) < most ? channels[powers.indexOf(most)] : mean;
}

function variance(samples) {
  const mean = samples.reduce((sum, each) => sum + each, 0) / samples.length;
  return samples.reduce((sum, each) => sum + (each - mean) ** 2, 0) / samples.length;
}

// Says in a sentence why samples cannot be answered; "" where they can.
export function refuse(samples) {
  if (samples.length < LEAST_SECONDS * RATE) return "This recording is too short: a word or two are needed.";
  const mean = samples.reduce((sum, each) => sum + each, 0) / samples.length;
  const peak = samples.reduce((most, each) => Math.max(most, Math.abs(each - mean)), 0);
  return peak < SILENCE ? "There is only silence in this recording. Is the microphone on?" : "";
}

// Whether an answer reaches the threshold of a model's report: one number, or one for each label.
export function isSure(threshold, label, share) {
  return share >= (typeof threshold === "object" ? threshold[label] : threshold);
}
