// What was said in a chat: as the API writes it, and as it is shown.

import type { VNode } from "preact";
import { Markdown } from "../markdown.tsx";
import { seconds } from "../parts.tsx";
import type { ChatChunk, ToolCall, Usage } from "../shapes.ts";
import type { Json } from "../snippets.ts";

export interface Turn {
  role: "user" | "assistant" | "tool";
  text: string;
  thought?: string;
  images?: string[];
  calls?: ToolCall[];
  answers?: string; // the id of the call that a tool's turn answers
  told?: string; // how fast it came, and how it ended
}

/** As the API has it. */
export function message(turn: Turn): Json {
  if (turn.role === "tool") return { role: "tool", tool_call_id: turn.answers ?? "", content: turn.text };
  if (turn.calls) {
    return { role: "assistant", content: turn.text || null, tool_calls: turn.calls.map((call) => ({ ...call })) };
  }
  if (!turn.images) return { role: turn.role, content: turn.text };
  const images = turn.images.map((url) => ({ type: "image_url", image_url: { url } }));
  return { role: turn.role, content: [...(turn.text ? [{ type: "text", text: turn.text }] : []), ...images] };
}

type Piece = NonNullable<NonNullable<ChatChunk["choices"]>[number]["delta"]["tool_calls"]>[number];

/** The calls of a turn with another piece of one. */
export function joined(calls: ToolCall[], piece: Piece): ToolCall[] {
  const before = calls[piece.index] ?? { id: "", type: "function", function: { name: "", arguments: "" } };
  const after: ToolCall = {
    id: piece.id ?? before.id,
    type: "function",
    function: {
      name: before.function.name + (piece.function?.name ?? ""),
      arguments: before.function.arguments + (piece.function?.arguments ?? ""),
    },
  };
  return Object.assign([...calls], { [piece.index]: after });
}

export function Said({ turn }: { turn: Turn }): VNode {
  const who = { user: "You", assistant: "Model", tool: "Tool" }[turn.role];
  return (
    <article class={`turn ${turn.role}`} aria-label={who}>
      {turn.thought && (
        <details class="thought">
          <summary>What it thought</summary>
          <Markdown text={turn.thought} />
        </details>
      )}
      {turn.role === "assistant" ? <Markdown text={turn.text} /> : <p class="plain">{turn.text}</p>}
      {turn.images?.map((url, index) => <img class="sent" src={url} alt={`image ${index + 1}`} />)}
      {turn.calls?.map((call) => (
        <pre class="call" tabindex={0} aria-label={`calls ${call.function.name}`}>
          <code>
            {call.function.name}({call.function.arguments})
          </code>
        </pre>
      ))}
      {turn.told && <small class="told">{turn.told}</small>}
    </article>
  );
}

/** How fast it came, and how it ended. Moments in milliseconds; `first`: 0 where no token came. */
export function told(began: number, first: number, usage: Usage | null, end: string): string {
  const took = (performance.now() - first) / 1000;
  const parts = [first ? `first token after ${seconds((first - began) / 1000)}` : "no token"];
  if (usage) {
    parts.push(`${usage.completion_tokens} tokens`);
    if (usage.completion_tokens > 1 && took > 0) parts.push(`${((usage.completion_tokens - 1) / took).toFixed(1)} tokens/s`);
  }
  if (end && end !== "stop") parts.push(end);
  return parts.join(" · ");
}

/** The last request that was sent, or the one that would be sent now. Tools that are no JSON are left out. */
export function asCode(
  turns: Turn[],
  { text, images, tools }: { text: string; images: string[]; tools: string },
  body: (said: Turn[], tools: Json | null) => { [name: string]: Json },
): { [name: string]: Json } {
  const draft = text !== "" || images.length > 0;
  const said = turns.at(-1)?.role === "assistant" && !draft ? turns.slice(0, -1) : turns;
  const now: Turn = { role: "user", text: draft ? text : "Hello!", ...(images.length ? { images } : {}) };
  let given: Json | null = null;
  try {
    given = parsed(tools);
  } catch {
    // The sentence comes when it is sent.
  }
  const asked = body(draft || !said.length ? [...said, now] : said, given);
  return given ? asked : { ...asked, stream: true }; // pieces of a call are not for reading
}

/** Of tools as one writes them. Throws where they are no JSON. */
export function parsed(tools: string): Json | null {
  if (!tools.trim()) return null;
  try {
    return JSON.parse(tools) as Json;
  } catch {
    throw new Error("The tools are not valid JSON.");
  }
}
