// What openai-node makes of speech at the endpoint that OPENAI_BASE_URL and OPENAI_API_KEY name, as
// JSON: `node with_speech.mjs file events`, of the model that CHAT_MODEL names.

import OpenAI from "openai";

const client = new OpenAI();
const asked = { model: process.env.CHAT_MODEL, voice: "nova", input: "Let us go for a walk in the park." };

async function file() {
  const answer = await client.audio.speech.create({ ...asked, response_format: "wav", speed: 0.8 });
  const content = Buffer.from(await answer.arrayBuffer());
  return { kind: answer.headers.get("content-type"), content: content.toString("base64") };
}

async function events() {
  const answer = await client.audio.speech.create({ ...asked, response_format: "pcm", stream_format: "sse" });
  const lines = (await answer.text()).split("\n\n").filter((line) => line.startsWith("data: "));
  const told = lines.map((line) => JSON.parse(line.slice(6)));
  const parts = told.filter((event) => event.audio).map((event) => Buffer.from(event.audio, "base64"));
  return {
    bytes: Buffer.concat(parts).length,
    types: told.map((event) => event.type),
    usage: told.at(-1).usage,
  };
}

const parts = { file, events };
const told = {};
for (const part of process.argv.slice(2)) told[part] = await parts[part]();
console.log(JSON.stringify(told));
