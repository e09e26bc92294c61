// Answers clips with transformers.js in Node: `node web.mjs MODEL CLIPS`, where CLIPS names files of float32 samples.
// Prints, for each clip, what `pipeline` and what the page's own `hear` answer, as JSON.
import { readFileSync } from "node:fs";
import { env, pipeline } from "../web/node_modules/@huggingface/transformers/dist/transformers.node.mjs";
import { hear, openModel } from "../web/hear.js";

const [folder, list] = process.argv.slice(2);
const model = await openModel({ env, pipeline }, folder);
const answers = [];
for (const file of JSON.parse(list)) {
  const bytes = readFileSync(file);
  const samples = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  answers.push({ pipeline: await model.classify(samples, { top_k: 99 }), hear: await hear(model, samples) });
}
console.log(JSON.stringify(answers));
