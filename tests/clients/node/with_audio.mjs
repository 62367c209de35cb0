// What openai-node makes of audio at the endpoint that OPENAI_BASE_URL and OPENAI_API_KEY name, as
// JSON: `node with_audio.mjs PART…`, of the model that CHAT_MODEL names. What is heard are the files of
// the folder SOUNDS, after what PROMPT says.

import { createReadStream, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import OpenAI, { toFile } from "openai";

const client = new OpenAI();
const { transcriptions, translations, speech } = client.audio;
const { CHAT_MODEL: model, SOUNDS: folder, PROMPT: prompt } = process.env;
const spoken = { model, voice: "nova", input: "Let us go for a walk in the park." };
const heard = { model, prompt };
const both = { response_format: "verbose_json", timestamp_granularities: ["word", "segment"] };
const LONG = "!slow 0.3 !words 60";

const sounds = () => readdirSync(folder).sort();
const file = (name = sounds()[0]) => createReadStream(join(folder, name));

// Speaking.

async function saves() {
  const answer = await speech.create({ ...spoken, response_format: "wav", speed: 0.8 });
  const content = Buffer.from(await answer.arrayBuffer());
  return { kind: answer.headers.get("content-type"), content: content.toString("base64") };
}

async function events() {
  const answer = await speech.create({ ...spoken, response_format: "pcm", stream_format: "sse" });
  const lines = (await answer.text()).split("\n\n").filter((line) => line.startsWith("data: "));
  const told = lines.map((line) => JSON.parse(line.slice(6)));
  const parts = told.filter((event) => event.audio).map((event) => Buffer.from(event.audio, "base64"));
  return {
    bytes: Buffer.concat(parts).length,
    types: told.map((event) => event.type),
    usage: told.at(-1).usage,
  };
}

async function leaves_speech() {
  const leaving = new AbortController();
  const asked = { model, voice: "fake", input: LONG, response_format: "pcm" };
  const answer = await speech.create(asked, { signal: leaving.signal });
  await answer.body.getReader().read();
  return secondsUntilIdle(() => leaving.abort());
}

// Hearing.

async function formats() {
  const told = {};
  for (const response_format of ["json", "text", "srt", "vtt"]) {
    told[response_format] = await transcriptions.create({ ...heard, file: file(), response_format });
  }
  told.verbose_json = await transcriptions.create({ ...heard, file: file(), ...both });
  const content = await toFile(readFileSync(join(folder, sounds()[0])), "ünïcode ☂");
  told.from_memory = await transcriptions.create({ ...heard, file: content });
  return told;
}

async function stream() {
  const told = [];
  const begun = await transcriptions.create({ ...heard, file: file(), stream: true });
  for await (const event of begun) told.push(event);
  return told;
}

async function translated() {
  const told = {};
  for (const response_format of ["json", "text", "srt", "vtt", "verbose_json"]) {
    told[response_format] = await translations.create({ ...heard, file: file(), response_format });
  }
  return told;
}

async function inputs() {
  const told = {};
  for (const name of sounds()) {
    try {
      const { text, usage } = await transcriptions.create({ ...heard, file: file(name) });
      told[name] = { status: 200, text, usage };
    } catch ({ status, code, param }) {
      told[name] = { status, code, param };
    }
  }
  return told;
}

async function leaves_transcription() {
  const begun = await transcriptions.create({ model, prompt: LONG, file: file(), stream: true });
  await begun[Symbol.asyncIterator]().next();
  return secondsUntilIdle(() => begun.controller.abort());
}

async function secondsUntilIdle(leave) {
  const worked = await busy();
  const left = performance.now();
  leave();
  while (await busy()) await new Promise((resolve) => setTimeout(resolve, 20));
  return { worked, seconds: (performance.now() - left) / 1000 };
}

async function busy() {
  const { variants } = (await client.get("/fleet")).models[model];
  return Object.values(variants).some(({ replicas }) => replicas.some((replica) => replica.busy > 0));
}

const parts = {
  saves, events, leaves_speech, formats, stream, translated, inputs, leaves_transcription,
};
const told = {};
for (const part of process.argv.slice(2)) told[part] = await parts[part]();
console.log(JSON.stringify(told));
