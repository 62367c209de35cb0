// What several screens are made of.

import { createContext, type ComponentChildren, type VNode } from "preact";
import { useContext, useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { Door, sentence } from "./door.ts";
import type { Model, State, Task } from "./shapes.ts";
import { LANGUAGES, snippet, type Call, type Language } from "./snippets.ts";

export interface Here {
  door: Door;
  models: Model[];
  operator: boolean;
}

export const Place = createContext<Here>({ door: new Door(""), models: [], operator: false });

export const useHere = (): Here => useContext(Place);

export function Screen({ title, about, children }: { title: string; about: ComponentChildren; children: ComponentChildren }): VNode {
  return (
    <section class="screen" aria-label={title}>
      <header>
        <h1>{title}</h1>
        <p>{about}</p>
      </header>
      {children}
    </section>
  );
}

/** `ask` is what sending it does; the page stays. */
export function Form({ ask, class: kind, children }: { ask: () => unknown; class?: string; children: ComponentChildren }): VNode {
  return (
    <form
      class={kind}
      onSubmit={(event) => {
        event.preventDefault();
        ask();
      }}
    >
      {children}
    </form>
  );
}

export function Field({ label, hint, children }: { label: string; hint?: string; children: (id: string) => VNode }): VNode {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children(id)}
      {hint && <small>{hint}</small>}
    </div>
  );
}

/** The chosen model's name, '' where there is none, and what chooses it. */
export function useModel(task: Task, fits: (model: Model) => boolean = () => true): [Model | undefined, VNode] {
  const { models } = useHere();
  const able = models.filter((model) => model.task === task && fits(model));
  const [name, setName] = useState("");
  const chosen = able.find((model) => model.id === name) ?? able.find((model) => model.state === "ready") ?? able[0];
  const choice = (
    <Field label="Model" hint={chosen?.description ?? ""}>
      {(id) => (
        <select id={id} value={chosen?.id ?? ""} onChange={(event) => setName(event.currentTarget.value)}>
          {able.map((model) => (
            <option value={model.id}>
              {model.id}
              {model.state === "ready" ? "" : ` (${how(model)})`}
            </option>
          ))}
          {!able.length && <option value="">no model here does this</option>}
        </select>
      )}
    </Field>
  );
  return [chosen, choice];
}

function how(model: Model): string {
  const done = model.state === "loading" && model.progress ? ` ${Math.round(model.progress * 100)} %` : "";
  return `${model.state}${done}`;
}

export function Badge({ state, children }: { state: State; children?: ComponentChildren }): VNode {
  return (
    <span class={`badge ${state}`}>
      {state}
      {children}
    </span>
  );
}

/** `work` at a time; its failure as a sentence. `stop` aborts what it was given. */
export function useWork(): {
  busy: boolean;
  trouble: string;
  run: (work: (signal: AbortSignal) => Promise<void>) => Promise<void>;
  stop: () => void;
} {
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState("");
  const abort = useRef<AbortController | null>(null);
  useEffect(() => () => abort.current?.abort(), []);
  return useMemo(
    () => ({ busy, trouble, stop: () => abort.current?.abort(), run: async (work) => {
      abort.current?.abort();
      const mine = new AbortController();
      abort.current = mine;
      setBusy(true);
      setTrouble("");
      try {
        await work(mine.signal);
      } catch (error) {
        setTrouble(mine.signal.aborted ? "" : sentence(error));
      } finally {
        if (abort.current === mine) setBusy(false);
      }
    } }),
    [busy, trouble],
  );
}

/** What goes on, and a way to end it. */
export function Waiting({ on, stop, children }: { on: boolean; stop: () => void; children: ComponentChildren }): VNode {
  return (
    <div class="row" hidden={!on}>
      <p class="waiting" role="status">
        {on && children}
      </p>
      <button type="button" onClick={stop}>
        Stop
      </button>
    </div>
  );
}

export function Trouble({ text }: { text: string }): VNode {
  return (
    <p class="trouble" role="alert">
      {text}
    </p>
  );
}

// An image in base64.
const LONG = /([A-Za-z0-9+/]{60})[A-Za-z0-9+/=]{400,}/g;

/** The request of a screen in other words. The key is never in it. */
export function AsCode({ call }: { call: Call | null }): VNode | null {
  const [language, setLanguage] = useState<Language>("curl");
  const [said, setSaid] = useState("");
  const [open, setOpen] = useState(false);
  if (!call) return null;
  const text = open ? snippet(language, call, location.origin) : "";
  const short = text.replace(LONG, "$1…");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("This page may not copy: select the text");
    }
  };
  return (
    <details class="code" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Copy as code</summary>
      <div class="row">
        {LANGUAGES.map((one) => (
          <button type="button" class="tab" aria-pressed={one === language} onClick={() => (setLanguage(one), setSaid(""))}>
            {one}
          </button>
        ))}
        <button type="button" onClick={() => void copy()}>
          Copy
        </button>
        <span role="status">{said}</span>
      </div>
      <pre tabindex={0} aria-label={`The request in ${language}`}>
        <code>{short}</code>
      </pre>
      {short !== text && <small>Long data is cut short here, and whole in what is copied.</small>}
    </details>
  );
}

export function Download({ name, data, label }: { name: string; data: Blob | string; label: string }): VNode {
  const url = useUrl(data);
  return (
    <a class="button" href={url} download={name}>
      {label}
    </a>
  );
}

/** An address of a blob, for as long as it is shown. */
export function useUrl(data: Blob | string | null): string {
  const url = useMemo(() => (data === null ? "" : URL.createObjectURL(typeof data === "string" ? new Blob([data]) : data)), [data]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return url;
}

export const seconds = (value: number): string =>
  value < 1 ? `${Math.round(value * 1000)} ms` : value < 60 ? `${value.toFixed(1)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;

export function bytes(count: number | null): string {
  if (count === null) return "–";
  return count >= 2 ** 30 ? `${(count / 2 ** 30).toFixed(1)} GiB` : `${Math.round(count / 2 ** 20)} MiB`;
}

/** As a colour of a hue that stays the same's. */
export const hue = (index: number): { "--hue": string } => ({ "--hue": String((index * 137.5 + 20) % 360) });
