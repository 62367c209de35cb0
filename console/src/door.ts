// The one way to the door. The key lives in this object, and nowhere else.

/** What the door answered instead: its sentence, and what it is about. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly param: string | null,
  ) {
    super(message);
  }
}

export interface ServerEvent {
  name: string;
  data: string;
}

interface Envelope {
  error?: { message?: string; code?: string; param?: string | null };
}

export interface Asking {
  body?: object | FormData;
  signal?: AbortSignal;
}

export class Door {
  constructor(private readonly key: string) {}

  get hasKey(): boolean {
    return this.key !== "";
  }

  /** An answer of 2xx. Throws `Refusal`, and what `fetch` throws where nobody answers. */
  async ask(path: string, { body, signal }: Asking = {}): Promise<Response> {
    const headers = new Headers();
    if (this.key) headers.set("authorization", `Bearer ${this.key}`);
    const form = body instanceof FormData;
    if (body && !form) headers.set("content-type", "application/json");
    const answer = await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      body: body ? (form ? body : JSON.stringify(body)) : null,
      credentials: "omit",
      cache: "no-store",
      signal: signal ?? null,
    });
    if (answer.ok) return answer;
    const text = await answer.text();
    throw refusal(text, answer.status);
  }

  async json<T>(path: string, asking?: Asking): Promise<T> {
    return (await (await this.ask(path, asking)).json()) as T;
  }

  /** Server-sent events, until the stream ends or `signal` aborts it. */
  async *events(path: string, asking: Asking): AsyncGenerator<ServerEvent> {
    const answer = await this.ask(path, asking);
    if (!answer.body) return;
    let rest = "";
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + piece).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = { name: "message", data: "" };
        for (const line of block.split("\n")) {
          if (line.startsWith("event:")) event.name = line.slice(6).trim();
          if (line.startsWith("data:")) event.data += line.slice(5).trimStart();
        }
        if (event.data) yield event;
      }
    }
  }
}

function refusal(text: string, status: number): Refusal {
  let told: Envelope["error"];
  try {
    told = (JSON.parse(text) as Envelope).error;
  } catch {
    // HAProxy speaks plain text.
  }
  const message = told?.message ?? (text.trim() || `The door answered ${status}`);
  return new Refusal(message, status, told?.code ?? "", told?.param ?? null);
}

/** For people. Nothing for what they did themselves. */
export function sentence(error: unknown): string {
  if (error instanceof DOMException && error.name === "AbortError") return "";
  if (error instanceof Refusal) return error.message;
  if (error instanceof TypeError) return "The door does not answer.";
  return error instanceof Error ? error.message : String(error);
}
