import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refusal } from "../door.ts";
import { AsCode, Field, Form, Screen, Trouble, useHere, useModel, useWork } from "../parts.tsx";
import type { ChatChunk, ToolCall, Usage } from "../shapes.ts";
import type { Json } from "../snippets.ts";
import { dataUrl } from "../sound.ts";
import { asCode, joined, message, parsed, Said, told, type Turn } from "./turns.tsx";

const TOOL = `[
  {
    "type": "function",
    "function": {
      "name": "get_weather",
      "description": "The weather of a city.",
      "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"]
      }
    }
  }
]`;
const NEAR_PX = 40;

export function Chat(): VNode {
  const { door } = useHere();
  const [model, choice] = useModel("chat");
  const [turns, setTurns] = useState<Turn[]>([]);
  const [text, setText] = useState("");
  const [images, setImages] = useState<string[]>([]);
  const [results, setResults] = useState<Record<string, string>>({});
  const [system, setSystem] = useState("");
  const [temperature, setTemperature] = useState("");
  const [longest, setLongest] = useState("");
  const [tools, setTools] = useState("");
  const { busy, trouble, run, stop } = useWork();
  const log = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true); // who has scrolled up reads on there
  useEffect(() => {
    if (atEnd.current) log.current?.scrollTo({ top: log.current.scrollHeight });
  }, [turns]);

  const body = (said: Turn[], given: Json | null): { [name: string]: Json } => ({
    model: model?.id ?? "",
    messages: [...(system.trim() ? [{ role: "system", content: system }] : []), ...said.map(message)],
    ...(temperature ? { temperature: Number(temperature) } : {}),
    ...(longest ? { max_tokens: Number(longest) } : {}),
    ...(given ? { tools: given } : {}),
  });

  /** `back`: undoes what asking did to the page, where nothing came of it. */
  const ask = (said: Turn[], back: () => void): Promise<void> =>
    run(async (signal) => {
      const asked = { ...body(said, parsed(tools)), stream: true, stream_options: { include_usage: true } };
      atEnd.current = true;
      setTurns(said);
      setText("");
      setImages([]);
      const answer: Turn = { role: "assistant", text: "" };
      const show = (): void => setTurns([...said, { ...answer }]);
      const began = performance.now();
      let first = 0;
      let usage: Usage | null = null;
      let end = "";
      try {
        for await (const event of door.events("/v1/chat/completions", { body: asked, signal })) {
          if (event.data === "[DONE]") break;
          const chunk = JSON.parse(event.data) as ChatChunk;
          if (chunk.error) throw new Refusal(chunk.error.message, 200, chunk.error.code, null);
          usage = chunk.usage ?? usage;
          const one = chunk.choices?.[0];
          if (!one) continue;
          end = one.finish_reason ?? end;
          const { content, tool_calls: calls } = one.delta;
          const thought = one.delta.reasoning ?? one.delta.reasoning_content;
          if (!content && !thought && !calls) continue;
          first ||= performance.now();
          answer.text += content ?? "";
          if (thought) answer.thought = (answer.thought ?? "") + thought;
          for (const call of calls ?? []) answer.calls = joined(answer.calls ?? [], call);
          show();
        }
      } catch (error) {
        end = first ? (signal.aborted ? "stopped" : "broken off") : "";
        if (!first) back();
        throw error;
      } finally {
        if (first || end) {
          answer.told = told(began, first, usage, end);
          show();
        }
      }
    });

  const send = (): void => {
    if ((!text.trim() && !images.length) || busy || !model) return;
    void ask([...turns, { role: "user", text, ...(images.length ? { images } : {}) }], () => {
      setTurns(turns);
      setText((now) => now || text);
      setImages((now) => [...images, ...now]);
    });
  };
  const answerCalls = (calls: ToolCall[]): void => {
    const returned = calls.map((call): Turn => ({ role: "tool", text: results[call.id] ?? "", answers: call.id }));
    void ask([...turns, ...returned], () => setTurns(turns));
  };
  const attach = async (files: FileList | undefined | null): Promise<void> => {
    const pictures = [...(files ?? [])].filter((one) => one.type.startsWith("image/"));
    const urls = await Promise.all(pictures.map(dataUrl));
    setImages((before) => [...before, ...urls]);
  };

  const waiting = turns.at(-1)?.calls ?? [];
  return (
    <Screen title="Chat" about="Ask a model. The answer comes as it is made.">
      <div class="columns">
        <div class="card chat">
          <div
            class="log"
            role="log"
            aria-label="The conversation"
            aria-busy={busy}
            tabindex={0}
            ref={log}
            onScroll={({ currentTarget: one }) => {
              atEnd.current = one.scrollHeight - one.scrollTop - one.clientHeight < NEAR_PX;
            }}
          >
            {!turns.length && <p class="empty">Nothing was said yet.</p>}
            {turns.map((turn) => (
              <Said turn={turn} />
            ))}
            {busy && turns.at(-1)?.role !== "assistant" && <p class="waiting">waiting for the first token …</p>}
          </div>
          {trouble && <Trouble text={trouble} />}
          <Form ask={() => (waiting.length ? answerCalls(waiting) : send())}>
            {waiting.length > 0 && !busy ? (
              waiting.map((call) => (
                <Field label={`What ${call.function.name} returns`}>
                  {(id) => (
                    <textarea
                      id={id}
                      rows={2}
                      class="mono"
                      value={results[call.id] ?? ""}
                      onInput={(event) => setResults({ ...results, [call.id]: event.currentTarget.value })}
                    />
                  )}
                </Field>
              ))
            ) : (
              <>
                {images.length > 0 && (
                  <div class="row thumbs">
                    {images.map((url, index) => (
                      <button type="button" class="quiet" aria-label={`remove image ${index + 1}`} onClick={() => setImages(images.filter((_, at) => at !== index))}>
                        <img src={url} alt="" />
                        remove
                      </button>
                    ))}
                  </div>
                )}
                <label for="say" class="unseen">
                  Message
                </label>
                <textarea
                  id="say"
                  rows={3}
                  placeholder="Message (Enter sends, Shift+Enter makes a line)"
                  value={text}
                  onInput={(event) => setText(event.currentTarget.value)}
                  onPaste={(event) => void attach(event.clipboardData?.files)}
                  onKeyDown={(event) => {
                    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
                    event.preventDefault();
                    send();
                  }}
                />
              </>
            )}
            <div class="row">
              {busy ? (
                <button type="button" class="primary" onClick={stop}>
                  Stop
                </button>
              ) : waiting.length > 0 ? (
                <button type="submit" class="primary">
                  Send the results
                </button>
              ) : (
                <>
                  <button type="submit" class="primary" disabled={!model || (!text.trim() && !images.length)}>
                    Send
                  </button>
                  <label class="button">
                    Add an image
                    <input
                      type="file"
                      class="unseen"
                      accept="image/*"
                      multiple
                      onChange={({ currentTarget: one }) => void attach(one.files).then(() => (one.value = ""))}
                    />
                  </label>
                </>
              )}
              <button type="button" class="quiet" disabled={busy || !turns.length} onClick={() => void run(async () => setTurns([]))}>
                Begin anew
              </button>
            </div>
          </Form>
        </div>
        <div class="card settings">
          {choice}
          <Field label="System message">
            {(id) => <textarea id={id} rows={2} value={system} onInput={(event) => setSystem(event.currentTarget.value)} />}
          </Field>
          <div class="pair">
            <Field label="Temperature">
              {(id) => (
                <input id={id} type="number" min={0} max={2} step={0.1} placeholder="model's" value={temperature} onInput={(event) => setTemperature(event.currentTarget.value)} />
              )}
            </Field>
            <Field label="Tokens, at most">
              {(id) => (
                <input id={id} type="number" min={1} placeholder="model's" value={longest} onInput={(event) => setLongest(event.currentTarget.value)} />
              )}
            </Field>
          </div>
          <details>
            <summary>Tools</summary>
            <Field label="As in the API, JSON" hint="What the model calls you answer by hand.">
              {(id) => <textarea id={id} rows={8} class="mono" spellcheck={false} value={tools} onInput={(event) => setTools(event.currentTarget.value)} />}
            </Field>
            <button type="button" class="quiet" onClick={() => setTools(TOOL)}>
              An example
            </button>
          </details>
          <AsCode call={model ? { path: "/chat/completions", json: asCode(turns, { text, images, tools }, body) } : null} />
        </div>
      </div>
    </Screen>
  );
}
