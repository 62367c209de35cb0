// The same request, as others would write it.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Language = "curl" | "Python" | "JS";
export const LANGUAGES: Language[] = ["curl", "Python", "JS"];

/** `json` or `form` (then with a file, by name); `saves`: the answer is a file of that name. */
export interface Call {
  path: "/chat/completions" | "/audio/speech" | "/audio/transcriptions" | "/embeddings" | "/rerank";
  json?: { [name: string]: Json };
  form?: { [name: string]: string | string[] };
  file?: string;
  saves?: string;
}

const METHODS: Partial<Record<Call["path"], string>> = {
  "/chat/completions": "chat.completions.create",
  "/audio/speech": "audio.speech.create",
  "/audio/transcriptions": "audio.transcriptions.create",
  "/embeddings": "embeddings.create",
};

export function snippet(language: Language, call: Call, origin: string): string {
  const written = { curl, Python: python, JS: js }[language](call, `${origin}/v1`);
  return `${written.trim()}\n`;
}

function curl(call: Call, base: string): string {
  const begin = `curl ${base}${call.path} -H "authorization: Bearer $MOTLEY_API_KEY"`;
  const out = call.saves ? ` -o ${call.saves}` : streams(call) ? " --no-buffer" : "";
  if (!call.json) {
    const fields = Object.entries(call.form ?? {}).flatMap(([name, value]) =>
      Array.isArray(value) ? value.map((one) => [`${name}[]`, one]) : [[name, value]],
    );
    const parts = fields.map(([name, value]) => ` \\\n    -F ${quoted(`${name}=${value}`)}`);
    return `${begin}${out}${parts.join("")} \\\n    -F ${quoted(`file=@${call.file ?? ""}`)}`;
  }
  return `${begin} \\\n    -H "content-type: application/json"${out} -d @- <<'END'\n${JSON.stringify(call.json, null, 2)}\nEND`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const streams = (call: Call): boolean => call.json?.stream === true;

function python(call: Call, base: string): string {
  const method = METHODS[call.path];
  const client = `client = OpenAI(base_url=${JSON.stringify(base)}, api_key=os.environ.get("MOTLEY_API_KEY", "none"))`;
  const given = Object.entries({ ...call.json, ...call.form }).map(([name, value]) => `    ${name}=${literal(value, 1)},\n`);
  if (call.file) given.unshift(`    file=open(${JSON.stringify(call.file)}, "rb"),\n`);
  const asked = method
    ? `client.${method}(\n${given.join("")})`
    : `client.post(\n    ${JSON.stringify(call.path)},\n    cast_to=object,\n    body=${literal(call.json ?? {}, 1)},\n)`;
  let used = `answer = ${asked}\nprint(answer)`;
  if (call.saves) used = `answer = ${asked}\nanswer.write_to_file(${JSON.stringify(call.saves)})`;
  else if (streams(call)) {
    used = `for chunk in ${asked}:\n    for choice in chunk.choices:\n        print(choice.delta.content or "", end="", flush=True)`;
  } else if (call.path === "/chat/completions") used = `answer = ${asked}\nprint(answer.choices[0].message)`;
  return `import os\n\nfrom openai import OpenAI\n\n${client}\n${used}`;
}

/** A Python literal; what JSON and Python write alike is JSON's. */
function literal(value: Json, depth: number): string {
  const inner = "    ".repeat(depth + 1);
  const end = `\n${"    ".repeat(depth)}`;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const items = Array.isArray(value)
    ? value.map((one) => literal(one, depth + 1))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one, depth + 1)}`);
  if (!items.length) return `${open}${close}`;
  return `${open}${items.map((one) => `\n${inner}${one},`).join("")}${end}${close}`;
}

function js(call: Call, base: string): string {
  const method = METHODS[call.path];
  const body = JSON.stringify({ ...call.json, ...call.form }, null, 2);
  const begin = `import fs from "node:fs";\nimport OpenAI from "openai";\n\nconst client = new OpenAI({\n  baseURL: ${JSON.stringify(base)},\n  apiKey: process.env.MOTLEY_API_KEY ?? "none",\n});\n`;
  const given = call.file ? body.replace("{", `{\n  "file": fs.createReadStream(${JSON.stringify(call.file)}),`) : body;
  const asked = method ? `await client.${method}(${given})` : `await client.post(${JSON.stringify(call.path)}, { body: ${body} })`;
  const head = call.file || call.saves ? begin : begin.replace('import fs from "node:fs";\n', "");
  if (call.saves) {
    return `${head}const answer = ${asked};\nfs.writeFileSync(${JSON.stringify(call.saves)}, Buffer.from(await answer.arrayBuffer()));`;
  }
  if (streams(call)) {
    return `${head}const stream = ${asked};\nfor await (const chunk of stream) {\n  process.stdout.write(chunk.choices[0]?.delta.content ?? "");\n}`;
  }
  return `${head}const answer = ${asked};\nconsole.log(${call.path === "/chat/completions" ? "answer.choices[0].message" : "answer"});`;
}
