// What openai-node makes of the endpoint that OPENAI_BASE_URL and OPENAI_API_KEY name, as JSON:
// `node with_openai.mjs PART…`, of the model that CHAT_MODEL names.
// Temperatures are as in with_langchain.py.

import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI();
const model = process.env.CHAT_MODEL;
const messages = [{ role: "user", content: "What is the capital of Japan?" }];
const weather = [{ role: "user", content: "What is the weather in Oslo?" }];
const aBird = "Tell me of a bird.";

const Place = z.object({ city: z.string().max(12) });
const Bird = z.object({ name: z.string().max(12), sings: z.boolean() });

const named = { type: "function", function: { name: "get_weather" } };
const getWeather = zodFunction({
  name: "get_weather",
  description: "The weather in a city",
  parameters: Place,
  function: ({ city }) => `It rains in ${city}.`,
});

async function chat() {
  const asked = { model, messages, temperature: 0 };
  const whole = await client.chat.completions.create(asked);
  const chunks = [];
  const stream = await client.chat.completions.create({
    ...asked, stream: true, stream_options: { include_usage: true },
  });
  for await (const chunk of stream) chunks.push(chunk);
  // Its helper puts the pieces together and raises where they do not fit.
  const joined = await client.chat.completions.stream(asked).finalChatCompletion();
  return {
    whole: whole.choices[0].message.content,
    finish: whole.choices[0].finish_reason,
    usage: whole.usage,
    request_id: whole._request_id,
    pieces: chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content ?? "")),
    usages: chunks.filter((chunk) => chunk.usage).map((chunk) => chunk.usage),
    joined: joined.choices[0].message.content,
    models: (await client.models.list()).data.map((one) => one.id),
  };
}

async function tools() {
  const asked = { model, messages: weather, tools: [getWeather], tool_choice: named, temperature: 1 };
  const { message } = (await client.chat.completions.create(asked)).choices[0];
  const deltas = [];
  for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
    for (const choice of chunk.choices) deltas.push(...(choice.delta.tool_calls ?? []));
  }
  const said = message.tool_calls.map((call) => ({
    role: "tool", tool_call_id: call.id, content: getWeather.$callback(getWeather.$parseRaw(call.function.arguments)),
  }));
  const answer = await client.chat.completions.create({
    model, messages: [...weather, message, ...said], tools: [getWeather],
  });
  const free = await client.chat.completions.create({ model, messages: weather, tools: [getWeather] });
  // Named, it ends with the first call: a model that likes calling would never come to an answer.
  const runner = client.chat.completions.runTools(asked);
  const name = deltas.map((delta) => delta.function?.name ?? "").join("");
  return {
    whole: calls(message),
    ids: message.tool_calls.map((call) => call.id),
    pieces: deltas.length,
    streamed: [[name, JSON.parse(deltas.map((delta) => delta.function?.arguments ?? "").join(""))]],
    free: calls(free.choices[0].message),
    said: said.map((one) => one.content),
    answer_usage: answer.usage,
    called: await runner.finalFunctionToolCallResult(),
  };
}

function calls(message) {
  return (message.tool_calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
}

async function structured() {
  const asked = {
    model, messages: [{ role: "user", content: aBird }], temperature: 1,
    response_format: zodResponseFormat(Bird, "bird"),
  };
  const whole = await client.chat.completions.parse(asked);
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
  return { whole: whole.choices[0].message.parsed, streamed: streamed.choices[0].message.parsed };
}

async function responses() {
  const asked = { model, input: messages[0].content, temperature: 0 };
  const whole = await client.responses.create(asked);
  const events = [];
  for await (const event of await client.responses.create({ ...asked, stream: true })) {
    events.push(event);
  }
  const parsed = await client.responses.parse({
    model, input: aBird, temperature: 1, text: { format: zodTextFormat(Bird, "bird") },
  });
  const joined = await client.responses.stream(asked).finalResponse();
  return {
    whole: whole.output_text,
    status: whole.status,
    usage: whole.usage,
    types: events.map((event) => event.type),
    pieces: events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta),
    completed: events.at(-1).response?.output.flatMap((item) => item.content ?? []).map((part) => part.text).join(""),
    joined: joined.output_text,
    parsed: parsed.output_parsed,
  };
}

async function refusals() {
  return {
    model: await refusal(() => client.chat.completions.create({ model: "no-such-model", messages })),
    field: await refusal(() => client.chat.completions.create({ model, messages, no_such_field: 1 })),
    key: await refusal(() => client.withOptions({ apiKey: "sk-wrong" }).models.list()),
  };
}

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    const { status, code, param, requestID } = error;
    return { status, code, param, request_id: requestID };
  }
  return { status: 200 };
}

const parts = { chat, tools, structured, responses, refusals };
const told = {};
for (const part of process.argv.slice(2)) told[part] = await parts[part]();
console.log(JSON.stringify(told));
